package backing

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"

	"github.com/looming-project/looming/vfs/chunk"
)

// Partial is the log of the present ranges of one partly filled file. It is not
// safe for concurrent use: its owner locks.
//
// Each record is 32 bytes, integers big-endian: the boot it holds in (0: it was
// written after the bytes were durable, and holds for ever), start, end, and the
// first eight bytes of the BLAKE3 of those 24 and the log's tag. A record that is
// torn, or of another boot, says nothing.
type Partial struct {
	// Present is what need not be fetched.
	Present Ranges
	f       *File
	tag     uint64
	boot    uint64
	loose   []Range
	volatil []Range
}

const recordSize = 32

// partialName is the log's name in the state directory.
func partialName(tag uint64) string { return fmt.Sprintf("%016x", tag) }

// OpenPartial opens the log of the file f, marked m, and gives it one where it has none.
func (s *Store) OpenPartial(f *File, m *Mark) (*Partial, error) {
	dir, err := OpenDir(s.side + "/" + sidePartial)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fresh := m.Tag == 0
	if fresh {
		m.Tag = rand.Uint64() | 1
	}
	log, err := dir.OpenFile(partialName(m.Tag), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of present ranges: %w", err)
	}
	p := &Partial{f: log, tag: m.Tag, boot: s.boot}
	if fresh {
		err = s.SetFileMark(f, m)
	} else {
		err = p.load()
	}
	if err == nil {
		err = p.cutOff(f, m.Size)
	}
	if err != nil {
		_ = log.Close()
		return nil, err
	}
	return p, nil
}

// cutOff counts as present what a truncation took away.
func (p *Partial) cutOff(f *File, size uint64) error {
	a, err := f.Stat()
	if err == nil && a.Size < size && !p.Present.Holds(Range{a.Size, size}) {
		return p.Wrote(Range{a.Size, size})
	}
	return err
}

func (p *Partial) load() error {
	a, err := p.f.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, a.Size)
	n, err := p.f.ReadAt(b, 0)
	if err != nil {
		return fmt.Errorf("log of present ranges: %w", err)
	}
	for b = b[:n]; len(b) >= recordSize; b = b[recordSize:] {
		boot, r := uint64At(b), Range{uint64At(b[8:]), uint64At(b[16:])}
		if p.check(b[:24]) == uint64At(b[24:]) && (boot == 0 || boot == p.boot) && r.Start < r.End {
			p.Present.Add(r)
			if boot != 0 {
				p.volatil = append(p.volatil, r)
			}
		}
	}
	return nil
}

func (p *Partial) check(head []byte) uint64 {
	id := chunk.Sum(appendUint64(append(make([]byte, 0, 32), head...), p.tag))
	return uint64At(id[:])
}

func (p *Partial) append(boot uint64, rs []Range) error {
	b := make([]byte, 0, recordSize*len(rs))
	for _, r := range rs {
		head := appendUint64(appendUint64(appendUint64(nil, boot), r.Start), r.End)
		b = append(append(b, head...), appendUint64(nil, p.check(head))...)
	}
	if _, err := p.f.Append(b); err != nil {
		return fmt.Errorf("log of present ranges: %w", err)
	}
	return nil
}

// Wrote records what a user wrote: it must survive the death of this process.
func (p *Partial) Wrote(r Range) error {
	if err := p.append(p.boot, []Range{r}); err != nil {
		return err
	}
	p.volatil = append(p.volatil, r)
	p.Present.Add(r)
	return nil
}

// Fetched notes what was fetched; it is recorded by the next Settle, and fetched
// again if the process dies before.
func (p *Partial) Fetched(r Range) {
	p.loose = append(p.loose, r)
	p.Present.Add(r)
}

// Settle makes the log durable. The file's bytes must be durable already.
func (p *Partial) Settle() error {
	rs := append(p.loose, p.volatil...)
	if len(rs) == 0 {
		return nil
	}
	var merged Ranges
	for _, r := range rs {
		merged.Add(r)
	}
	if err := p.append(0, merged.All()); err != nil {
		return err
	}
	if err := p.f.SyncData(); err != nil {
		return err
	}
	p.loose, p.volatil = nil, nil
	return nil
}

// Unsettled says whether Settle has something to do.
func (p *Partial) Unsettled() bool { return len(p.loose)+len(p.volatil) > 0 }

// Close closes the log.
func (p *Partial) Close() error { return p.f.Close() }

// RemovePartial removes the log of a file that is native or gone.
func (s *Store) RemovePartial(tag uint64) error {
	err := os.Remove(s.side + "/" + sidePartial + "/" + partialName(tag))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
