//go:build linux

package backing

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
)

const partSize = 1 << 20

// partly is a placeholder of 1 MiB with its log, which reopens as after a death or a reboot.
type partly struct {
	*testing.T
	s    *Store
	f    *File
	part *Partial
}

func newPartly(t *testing.T) *partly {
	s := openStore(t, t.TempDir())
	f, err := s.Top.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	m := Mark{Size: partSize, Content: cvd.Content{ID: chunk.Sum(nil), Chunks: []cvd.Ref{{ID: chunk.ID{1}, Size: partSize / 2}, {ID: chunk.ID{2}, Size: partSize / 2}}}}
	if err := errors.Join(s.SetFileMark(f, &m), f.Truncate(partSize)); err != nil {
		t.Fatal(err)
	}
	p := &partly{T: t, s: s, f: f}
	p.open()
	t.Cleanup(func() { _ = errors.Join(p.part.Close(), f.Close()) })
	return p
}

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(filepath.Join(dir, "backing"), filepath.Join(dir, "side"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (p *partly) open() {
	p.Helper()
	m, ok, err := p.s.FileMark(p.f)
	if err != nil || !ok {
		p.Fatal(ok, err)
	}
	if p.part, err = p.s.OpenPartial(p.f, &m); err != nil {
		p.Fatal(err)
	}
}

// die has the process die: nothing is closed or settled.
func (p *partly) die() {
	_ = p.part.Close()
	p.open()
}

// reboot is a power cut: what was only recorded for this boot is void.
func (p *partly) reboot() {
	p.s.boot += 2
	p.die()
}

func (p *partly) settle() {
	p.Helper()
	if err := p.part.Settle(p.part.Begin()); err != nil {
		p.Fatal(err)
	}
}

func (p *partly) wrote(a, b uint64) {
	p.Helper()
	if err := p.part.Wrote(Range{a, b}); err != nil {
		p.Fatal(err)
	}
}

func (p *partly) want(what string, rs ...Range) {
	p.Helper()
	if got := p.part.Present.All(); !slices.Equal(got, rs) {
		p.Errorf("%s: present is %v, want %v", what, got, rs)
	}
}

func (p *partly) log() string {
	m, _, err := p.s.FileMark(p.f)
	if err != nil {
		p.Fatal(err)
	}
	return filepath.Join(p.s.side, sidePartial, partialName(m.Tag))
}

// What a user wrote survives the process at once, and a power cut once it is
// settled; what was fetched survives when it is settled (invariants 2 and 4).
func TestPartialSurvives(t *testing.T) {
	p := newPartly(t)
	p.want("fresh")
	p.part.Fetched(Range{0, 10})
	p.wrote(100, 200)
	p.die()
	p.want("after death", Range{100, 200})
	p.reboot()
	p.want("after a power cut")
	p.part.Fetched(Range{0, 10})
	p.wrote(100, 200)
	p.settle()
	p.part.Fetched(Range{500, 600})
	p.wrote(300, 400)
	p.reboot()
	p.want("after settling and a power cut", Range{0, 10}, Range{100, 200})
	p.wrote(50, 60)
	p.die() // what another process recorded for this boot is settled by the next
	p.settle()
	p.reboot()
	p.want("after a death, settling and a power cut", Range{0, 10}, Range{50, 60}, Range{100, 200})
}

// What comes while a sync is under way is not covered by it.
func TestPartialDuringSync(t *testing.T) {
	p := newPartly(t)
	p.part.Fetched(Range{0, 10})
	first := p.part.Begin()
	p.part.Fetched(Range{20, 30})
	p.wrote(40, 50)
	second := p.part.Begin()
	p.part.Fetched(Range{60, 70})
	if err := errors.Join(p.part.Settle(second), p.part.Settle(first)); err != nil { // in either order
		t.Fatal(err)
	}
	p.reboot()
	p.want("after a power cut", Range{0, 10}, Range{20, 30}, Range{40, 50})
}

// After a failed sync, what was fetched is fetched again; what was written stays written.
func TestPartialLost(t *testing.T) {
	p := newPartly(t)
	p.part.Fetched(Range{0, 10})
	p.settle()
	p.part.Fetched(Range{10, 100})
	p.wrote(50, 60)
	p.part.Begin()
	p.part.Lost()
	p.want("after a failed sync", Range{0, 10}, Range{50, 60})
	p.settle()
	p.reboot()
	p.want("after a power cut", Range{0, 10}, Range{50, 60})
}

// A torn record says nothing, and those written behind it say all they have to.
func TestPartialTorn(t *testing.T) {
	for _, torn := range []int{1, 31, 33} {
		p := newPartly(t)
		p.wrote(0, 10)
		p.settle()
		f, err := os.OpenFile(p.log(), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(make([]byte, torn)); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		p.die()
		p.wrote(20, 30)
		p.die()
		p.want("behind a torn record", Range{0, 10}, Range{20, 30})
	}
}

// Records of another file's log, or with a flipped bit, say nothing.
func TestPartialForeign(t *testing.T) {
	p := newPartly(t)
	p.wrote(0, 10)
	b, err := os.ReadFile(p.log())
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 4
		if err := os.WriteFile(p.log(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		b[i] ^= 4
		p.die()
		p.want("a flipped bit")
	}
	q := newPartly(t)
	if err := os.WriteFile(q.log(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	q.die()
	q.want("another file's record")
}

// What was cut off is present, so that it is not fetched behind the new end.
func TestPartialCutOff(t *testing.T) {
	p := newPartly(t)
	if err := p.f.Truncate(1000); err != nil {
		t.Fatal(err)
	}
	p.die()
	p.want("after a death before the record", Range{1000, partSize})
}

// Writing the same place again and again does not let the log grow.
func TestPartialBounded(t *testing.T) {
	p := newPartly(t)
	for range 1000 {
		p.wrote(0, 4096)
	}
	info, err := os.Stat(p.log())
	if err != nil || info.Size() > 2*recordSize {
		t.Errorf("the log has %d bytes, %v", info.Size(), err)
	}
}

// A log that cannot be made durable leaves its ranges to be settled later.
func TestPartialFailedSettle(t *testing.T) {
	p := newPartly(t)
	p.part.Fetched(Range{0, 10})
	restore := durable.SetFault(func(o durable.Op) error {
		if o.Name == durable.OpSync && !o.After {
			return syscall.EIO
		}
		return nil
	})
	err := p.part.Settle(p.part.Begin())
	restore()
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("settling says %v", err)
	}
	p.settle()
	p.reboot()
	p.want("after a power cut", Range{0, 10})
}
