package sis

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/wire"
)

// Names in the directory of a volume.
const (
	idFile     = "looming-volume.json"
	packsDir   = "packs"
	incoming   = "incoming"
	packSuffix = ".pack"
)

// dirVolume is a directory: of a local disk, or of a NAS.
type dirVolume struct {
	dir string
	url string
	id  VolumeID
}

type idDocument struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
}

// DirPath is the directory that a volume's URL or plain path names.
func DirPath(address string) (string, error) {
	path := address
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil {
			return "", fmt.Errorf("%w: volume %q: %w", wire.ErrInvalid, address, err)
		}
		if u.Scheme != "file" || u.Host != "" && u.Host != "localhost" {
			return "", fmt.Errorf("%w: volume %q: want a path or file:///path", wire.ErrInvalid, address)
		}
		path = filepath.FromSlash(u.Path)
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%w: volume %q: want an absolute path", wire.ErrInvalid, address)
	}
	return filepath.Clean(path), nil
}

// CheckDir says whether there is a directory at the address, which MakeDir would make otherwise.
func CheckDir(address string) error {
	dir, err := DirPath(address)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("volume %s: %w: the server has no such directory: make it there, or mount the volume", address, wire.ErrNotFound)
	case err != nil:
		return fmt.Errorf("volume %s: %w", address, err)
	case !info.IsDir():
		return fmt.Errorf("volume %s: %w: it is not a directory", address, wire.ErrInvalid)
	}
	return nil
}

// MakeDir makes a volume in a directory that has none, which is created where
// it does not exist, and must be empty. A directory that is a volume already is opened.
func MakeDir(address string) (Volume, error) {
	dir, err := DirPath(address)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("volume %s: %w", address, err)
	}
	v := &dirVolume{dir: dir, url: address}
	if v.id, err = v.readID(); err == nil {
		return v, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := v.checkEmpty(); err != nil {
		return nil, err
	}
	_, _ = rand.Read(v.id[:]) // never fails
	return v, v.writeID()
}

// OpenDir opens the volume with that id. A directory without it, or with another, is ErrVolume.
func OpenDir(address string, id VolumeID) (Volume, error) {
	dir, err := DirPath(address)
	if err != nil {
		return nil, err
	}
	v := &dirVolume{dir: dir, url: address, id: id}
	return v, v.check()
}

// checkEmpty refuses a directory with something in it besides what a fresh file system has.
func (v *dirVolume) checkEmpty() error {
	names, err := os.ReadDir(v.dir)
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.url, err)
	}
	for _, n := range names {
		if n.Name() != "lost+found" && !durable.IsTemp(n.Name()) {
			return fmt.Errorf("volume %s: %w: the directory is not empty (%s) and has no %s: name an empty one, or mount the volume",
				v.url, wire.ErrConflict, n.Name(), idFile)
		}
	}
	return nil
}

func (v *dirVolume) writeID() error {
	b, err := json.Marshal(idDocument{1, v.id.String()})
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(v.dir, idFile), append(b, '\n'), 0o640); err != nil {
		return fmt.Errorf("volume %s: %w", v.url, err)
	}
	return nil
}

func (v *dirVolume) readID() (id VolumeID, err error) {
	path := filepath.Join(v.dir, idFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return id, fmt.Errorf("volume %s: %w", v.url, err)
	}
	var d idDocument
	if err := json.Unmarshal(b, &d); err != nil || d.Format != 1 || len(d.ID) != 2*len(id) {
		return id, fmt.Errorf("volume %s: %w: %s is no id of format 1", v.url, ErrVolume, path)
	}
	if _, err := hex.Decode(id[:], []byte(d.ID)); err != nil {
		return id, fmt.Errorf("volume %s: %w: %s: %w", v.url, ErrVolume, path, err)
	}
	return id, nil
}

// check makes sure that the volume is mounted: an empty mount point has no id file.
func (v *dirVolume) check() error {
	id, err := v.readID()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("volume %s: %w: it has no %s: is it mounted?", v.url, ErrVolume, idFile)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrVolume, err)
	case id != v.id:
		return fmt.Errorf("volume %s: %w: volume %s is there instead of %s: is the right one mounted?", v.url, ErrVolume, id, v.id)
	}
	return nil
}

func (v *dirVolume) ID() VolumeID { return v.id }
func (v *dirVolume) Name() string { return v.url }

func (v *dirVolume) path(name PackName) string {
	s := name.String()
	return filepath.Join(v.dir, packsDir, s[:2], s+packSuffix)
}

// Open opens a pack. Where it is not, the volume is looked at, so that a lost
// mount is not taken for a lost pack.
func (v *dirVolume) Open(name PackName) (PackReader, error) {
	f, err := os.Open(v.path(name))
	if err == nil {
		return dirReader{f}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if lost := v.check(); lost != nil {
			return nil, lost
		}
	}
	return nil, fmt.Errorf("volume %s: %w", v.url, err)
}

type dirReader struct{ *os.File }

func (r dirReader) Size() (int64, error) {
	info, err := r.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (v *dirVolume) Delete(name PackName) error {
	if err := v.check(); err != nil {
		return err
	}
	if err := durable.Remove(v.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("volume %s: %w", v.url, err)
	}
	return nil
}

func (v *dirVolume) Each(fn func(PackName) error) error {
	if err := v.check(); err != nil {
		return err
	}
	root := filepath.Join(v.dir, packsDir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return nil // nothing was ever written
		}
		if err != nil {
			return err
		}
		if name, ok := packName(d.Name()); ok && !d.IsDir() {
			return fn(name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.url, err)
	}
	return nil
}

func packName(file string) (name PackName, ok bool) {
	base, ok := strings.CutSuffix(file, packSuffix)
	if !ok || len(base) != 2*len(name) {
		return name, false
	}
	_, err := hex.Decode(name[:], []byte(base))
	return name, err == nil
}

func (v *dirVolume) Space() (free, total int64, err error) {
	if err := v.check(); err != nil {
		return 0, 0, err
	}
	return space(v.dir)
}
