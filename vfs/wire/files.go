package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// WriteFileAnswers writes one record for each file id asked, in order: the Have
// byte, a one-byte flag whether a content follows, and then the content as the
// encoding of a nameless file entry (FORMAT.md) behind its length (4 bytes, big-endian).
func WriteFileAnswers(w io.Writer, as []FileAnswer) error {
	var b []byte
	for i := range as {
		b = appendAnswer(b[:0], &as[i])
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func appendAnswer(b []byte, a *FileAnswer) []byte {
	if len(a.Content.Chunks) == 0 {
		return append(b, byte(a.Have), 0)
	}
	e := cvd.EncodeContent(a.Size, &a.Content)
	n := len(e)
	b = append(b, byte(a.Have), 1, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(b, e...)
}

// ReadFileAnswers reads the answers to ids. An answer cut short is io.ErrUnexpectedEOF.
func ReadFileAnswers(r io.Reader, ids []chunk.ID) ([]FileAnswer, error) {
	as := make([]FileAnswer, len(ids))
	for i := range as {
		err := readAnswer(r, &as[i])
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("answer about file %s: %w", ids[i], err)
		}
		if len(as[i].Content.Chunks) > 0 && as[i].Content.ID != ids[i] {
			return nil, fmt.Errorf("%w: answer about another file than %s", ErrInvalid, ids[i])
		}
	}
	return as, nil
}

func readAnswer(r io.Reader, a *FileAnswer) error {
	var head [6]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return err
	}
	a.Have = Have(head[0])
	if a.Have > Unproven || head[1] > 1 || a.Have == Missing && head[1] == 1 {
		return fmt.Errorf("%w: bytes %d %d", ErrInvalid, head[0], head[1])
	}
	if head[1] == 0 {
		return nil
	}
	if _, err := io.ReadFull(r, head[2:]); err != nil {
		return err
	}
	n := int(head[2])<<24 | int(head[3])<<16 | int(head[4])<<8 | int(head[5])
	if n > cvd.EntryMax {
		return fmt.Errorf("%w: a content of %d bytes", ErrInvalid, n)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if a.Size, a.Content, err = cvd.DecodeContent(b); err == nil && len(a.Content.Chunks) == 0 {
		err = fmt.Errorf("%w: a content without chunks", ErrInvalid)
	}
	return err
}
