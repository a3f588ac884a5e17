package scan

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/wire"
)

// cacheFiles are the files of one desktop and directory. At most one process has them.
//
//	X.cache  the last scan that committed
//	X.part   the scan under way, or one that died
//	X.prev   the furthest scan that died, since then
//	X.lock   locked while a scan runs
type cacheFiles struct {
	base  string
	about chunk.ID
	lock  *os.File
}

// cacheOf names the files. dir may be empty: then there is no cache.
func cacheOf(dir, desktop, root string) *cacheFiles {
	c := &cacheFiles{about: chunk.Sum([]byte(desktop + "\x00" + root))}
	if dir != "" {
		c.base = filepath.Join(dir, hex.EncodeToString(c.about[:8]))
	}
	return c
}

// openCache takes the files for this process.
func openCache(dir, desktop, root string) (*cacheFiles, error) {
	c := cacheOf(dir, desktop, root)
	if dir == "" {
		return c, nil
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("stat cache: %w", err)
	}
	var err error
	if c.lock, err = os.OpenFile(c.base+".lock", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("stat cache: %w", err)
	}
	if err := lock(c.lock); err != nil {
		_ = c.lock.Close()
		return nil, fmt.Errorf("%w: another snapshot of %s as %s is under way: %w", wire.ErrConflict, root, desktop, err)
	}
	return c, nil
}

func (c *cacheFiles) close() {
	if c.lock != nil {
		_ = c.lock.Close()
	}
}

// rotate keeps what a scan left that did not come to its end: the one that got further.
func (c *cacheFiles) rotate() error {
	if c.base == "" {
		return nil
	}
	part, err := os.Stat(c.base + ".part")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if prev, err := os.Stat(c.base + ".prev"); err == nil && prev.Size() > part.Size() {
		return os.Remove(c.base + ".part")
	}
	return durable.RenameLazy(c.base+".part", c.base+".prev")
}

// sources opens what earlier scans left, the most trusted first: latest is the root that is known to be on the server,
// if any. Damage is told and passed over.
func (c *cacheFiles) sources(latest cvd.Root, notice func(string)) (out []*source) {
	if c.base == "" {
		return nil
	}
	for _, name := range []string{".cache", ".prev"} {
		s, err := openSource(c.base+name, c.about)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			notice(fmt.Sprintf("%v; it is left aside, and files are read again", err))
		default:
			s.trusted = s.head.complete && s.head.root == latest && !latest.IsZero()
			out = append(out, s)
		}
	}
	return out
}

// cacheWriter writes the next stat cache as the scan goes. An error ends the cache, not the scan.
type cacheWriter struct {
	files *cacheFiles
	f     *os.File
	block []byte
	err   error
}

func (c *cacheFiles) create() *cacheWriter {
	w := &cacheWriter{files: c}
	if c.base == "" {
		return w
	}
	w.f, w.err = os.OpenFile(c.base+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if w.err == nil {
		_, w.err = w.f.Write((&header{about: c.about}).encode())
	}
	w.block = make([]byte, 8, blockSize+blockSize/4)
	return w
}

// add takes a record that append appends.
func (w *cacheWriter) add(appendTo func([]byte) []byte) {
	if w.f == nil || w.err != nil {
		return
	}
	w.block = appendTo(w.block)
	if len(w.block) >= blockSize {
		w.flush()
	}
}

func (w *cacheWriter) flush() {
	if w.f == nil || w.err != nil || len(w.block) == 8 {
		return
	}
	body := w.block[8:]
	binary.LittleEndian.PutUint32(w.block, uint32(len(body)))
	binary.LittleEndian.PutUint32(w.block[4:], crc32.Checksum(body, castagnoli))
	_, w.err = w.f.Write(w.block)
	w.block = w.block[:8]
}

// stop keeps what there is for the next scan.
func (w *cacheWriter) stop() {
	w.flush()
	if w.f != nil {
		_ = w.f.Close()
		w.f = nil
	}
}

// commit makes it the stat cache of the scan that committed root.
func (w *cacheWriter) commit(root cvd.Root) error {
	if w.files.base == "" {
		return nil
	}
	w.flush()
	if w.err == nil {
		_, w.err = w.f.Write(make([]byte, 8))
	}
	if w.err == nil {
		_, w.err = w.f.WriteAt((&header{complete: true, root: root, about: w.files.about}).encode(), 0)
	}
	if w.err == nil {
		w.err = durable.SyncFile(w.f)
	}
	w.stop()
	if w.err == nil {
		w.err = durable.Rename(w.files.base+".part", w.files.base+".cache")
	}
	if w.err != nil {
		return fmt.Errorf("write the stat cache: %w", w.err)
	}
	if err := os.Remove(w.files.base + ".prev"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop an old stat cache: %w", err)
	}
	return nil
}
