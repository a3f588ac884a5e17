package backing

import (
	"errors"
	"fmt"
	"io"
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
	// recorded is what has a record that holds in this boot.
	recorded Ranges
	// pending is what has no record for ever yet, in order; gone counts what had been before it.
	pending []pending
	gone    int
	// size is the log's length in whole records, torn says that there is more behind them.
	size int
	torn bool
}

// pending is a range that was written; what was fetched can be fetched again.
type pending struct {
	Range
	fetched bool
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
	p.size, p.torn = n-n%recordSize, n%recordSize != 0
	for b = b[:p.size]; len(b) > 0; b = b[recordSize:] {
		boot, r := uint64At(b), Range{uint64At(b[8:]), uint64At(b[16:])}
		if p.check(b[:24]) != uint64At(b[24:]) || boot != 0 && boot != p.boot || r.Start >= r.End {
			continue
		}
		p.Present.Add(r)
		p.recorded.Add(r)
		if boot != 0 {
			p.pending = append(p.pending, pending{Range: r})
		}
	}
	return nil
}

func (p *Partial) check(head []byte) uint64 {
	id := chunk.Sum(appendUint64(append(make([]byte, 0, 32), head...), p.tag))
	return uint64At(id[:])
}

// append adds records. A record that did not fit is taken off again, so that
// those behind it are found.
func (p *Partial) append(boot uint64, rs []Range) error {
	b := make([]byte, 0, recordSize*len(rs))
	for _, r := range rs {
		head := appendUint64(appendUint64(appendUint64(nil, boot), r.Start), r.End)
		b = append(append(b, head...), appendUint64(nil, p.check(head))...)
	}
	if p.torn {
		if err := p.f.Truncate(uint64(p.size)); err != nil {
			return fmt.Errorf("log of present ranges: %w", err)
		}
		p.torn = false
	}
	n, err := p.f.Append(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite // the disk is full: the next write says so
	}
	if err != nil {
		p.torn = true
		return fmt.Errorf("log of present ranges: %w", err)
	}
	p.size += n
	for _, r := range rs {
		p.recorded.Add(r)
	}
	return nil
}

// Wrote records what a user wrote: it must survive the death of this process.
func (p *Partial) Wrote(r Range) error {
	if p.recorded.Holds(r) {
		return nil
	}
	if err := p.append(p.boot, []Range{r}); err != nil {
		return err
	}
	p.pending = append(p.pending, pending{Range: r})
	p.Present.Add(r)
	return nil
}

// Fetched notes what was fetched; it is recorded by the next Settle, and fetched
// again if the process dies before.
func (p *Partial) Fetched(r Range) {
	p.pending = append(p.pending, pending{r, true})
	p.Present.Add(r)
}

// Begin is called before a sync of the file, and returns what to tell Settle
// when the sync is over: what is written meanwhile is not part of it.
func (p *Partial) Begin() (mark int) { return p.gone + len(p.pending) }

// Settle records what was written before Begin returned mark, and is durable now.
func (p *Partial) Settle(mark int) error {
	n := mark - p.gone
	if n <= 0 {
		return nil
	}
	var merged Ranges
	for _, r := range p.pending[:n] {
		merged.Add(r.Range)
	}
	if err := p.append(0, merged.All()); err != nil {
		return err
	}
	if err := p.f.SyncData(); err != nil {
		return err
	}
	p.pending, p.gone = p.pending[n:], mark
	return nil
}

// Lost is called after a sync that failed: what was fetched since the last good
// one is not on the disk, as far as anybody knows, and must be fetched again.
// What a user wrote is lost as on any disk: whoever asks for a sync is told.
func (p *Partial) Lost() {
	var kept []pending
	for _, r := range p.pending {
		if r.fetched {
			p.Present.Remove(r.Range)
		} else {
			kept = append(kept, r)
		}
	}
	for _, r := range kept {
		p.Present.Add(r.Range)
	}
	p.gone += len(p.pending) - len(kept)
	p.pending = kept
}

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
