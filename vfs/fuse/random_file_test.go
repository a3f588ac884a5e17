//go:build linux

package fuse_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// fileMax is how long a file of TestRandomFile gets, in bytes.
const fileMax = 300_000

// filePair is one file, open in the plain directory and in the desktop.
type filePair struct {
	*twins
	path string
	open map[string]*os.File
}

// Random reads, writes, cuts, allocations and copies within files. Mappings are not
// among them: this process serves the desktop, and a fault on a page of its own that
// it has to bring itself keeps it from growing its memory, for ever.
func TestRandomFile(t *testing.T) {
	w := newTwins(t, func(tr *vfstest.Tree) {
		for i, size := range []int{0, 10, 5000, 32 << 10, 32<<10 + 1, 100_000, 131_072, 131_073, 200_001, 262_144, 299_999, 250_000} {
			for j := range 3 {
				tr.AddFile(fmt.Sprintf("d%d/f%d", j, i), vfstest.Body(size, byte(i)), 10_000+7000*j)
			}
		}
	})
	files := w.tree.Files()
	for end := time.Now().Add(*randomFor); time.Now().Before(end); {
		stop := w.filling()
		for range 30 {
			f := &filePair{w, files[w.r.IntN(len(files))], map[string]*os.File{}}
			for range w.r.IntN(20) {
				f.step()
			}
			f.close()
		}
		stop()
		if w.r.IntN(4) == 0 {
			w.close()
			w.open()
		}
	}
	for _, p := range files {
		w.both("reading "+p, func(dir string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, p)) })
	}
}

// on does op to the open file of both.
func (f *filePair) on(what string, op func(h *os.File) ([]byte, error)) {
	f.Helper()
	f.both(what+" "+f.path, func(dir string) ([]byte, error) {
		h := f.open[dir]
		if h == nil {
			var err error
			if h, err = os.OpenFile(filepath.Join(dir, f.path), os.O_RDWR, 0); err != nil {
				return nil, err
			}
			f.open[dir] = h
		}
		return op(h)
	})
}

func (f *filePair) close() {
	for _, h := range f.open {
		f.must(h.Close())
	}
	clear(f.open)
}

func (f *filePair) size() int {
	a, err := os.Stat(filepath.Join(f.plain(), f.path))
	f.must(err)
	return int(a.Size())
}

// modes are fallocate's that the kernel lets a FUSE file system do.
var modes = []uint32{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE}

// step is one random operation.
func (f *filePair) step() {
	size := f.size()
	at, seed := f.r.IntN(min(size+5000, fileMax)), byte(f.r.IntN(256))
	n := 1 + f.r.IntN(min(40_000, fileMax-at))
	say := func(op string) string { return fmt.Sprintf("%s %d at %d of %d", op, n, at, size) }
	switch f.r.IntN(10) {
	case 0, 1:
		f.on(say("read"), func(h *os.File) ([]byte, error) {
			b := make([]byte, n)
			n, err := unix.Pread(int(h.Fd()), b, int64(at))
			return b[:max(n, 0)], err
		})
	case 2, 3:
		f.on(say("write"), func(h *os.File) ([]byte, error) {
			_, err := h.WriteAt(vfstest.Body(n, seed), int64(at))
			return nil, err
		})
	case 4:
		f.on(fmt.Sprintf("truncate %d to %d", size, at), func(h *os.File) ([]byte, error) { return nil, h.Truncate(int64(at)) })
	case 5:
		f.both(fmt.Sprintf("truncate by name %d to %d %s", size, at, f.path), func(dir string) ([]byte, error) {
			return nil, os.Truncate(filepath.Join(dir, f.path), int64(at))
		})
	case 6:
		mode := modes[f.r.IntN(len(modes))]
		f.on(say(fmt.Sprintf("fallocate %#x", mode)), func(h *os.File) ([]byte, error) {
			return nil, unix.Fallocate(int(h.Fd()), mode, int64(at), int64(n))
		})
	case 7:
		to := f.r.IntN(fileMax)
		n = min(n, fileMax-to)
		f.on(say(fmt.Sprintf("copy to %d", to)), func(h *os.File) ([]byte, error) { return copyRange(h, at, to, n) })
	case 8:
		f.on("fsync", func(h *os.File) ([]byte, error) { return nil, h.Sync() })
	case 9:
		f.close()
		f.both("read all of "+f.path, func(dir string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, f.path)) })
	}
}

// copyRange copies within a file as far as it is at once, and says how far that was in full.
func copyRange(h *os.File, at, to, n int) ([]byte, error) {
	for n > 0 {
		from, into := int64(at), int64(to)
		c, err := unix.CopyFileRange(int(h.Fd()), &from, int(h.Fd()), &into, n, 0)
		if err != nil || c == 0 {
			return nil, err
		}
		at, to, n = at+c, to+c, n-c
	}
	return nil, nil
}
