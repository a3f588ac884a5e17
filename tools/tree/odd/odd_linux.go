package odd

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Source is the text of this package, from which a cache can tell whether what
// it holds was made by the same one.
//
//go:embed *.go
var Source embed.FS

// A maker makes things beneath a directory and keeps the errors.
type maker struct {
	dir    string
	random *rand.ChaCha8
	errs   []error
}

// Make fills dir, which must exist and be empty. Two calls make the same.
func Make(dir string) error {
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.Join(err, fmt.Errorf("fill %s: it must be an empty directory", dir))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("fill %s: device nodes, owners and capabilities need root", dir)
	}
	defer unix.Umask(unix.Umask(0))
	m := &maker{dir: dir, random: rand.NewChaCha8([32]byte{'o', 'd', 'd'})}
	for _, part := range []func(){
		m.sizes, m.sparse, m.names, m.deep, m.many,
		m.modes, m.owners, m.attributes, m.acls,
		m.hardLinks, m.symlinks, m.special, m.times,
	} {
		part()
	}
	return errors.Join(m.errs...)
}

func (m *maker) path(name string) string { return filepath.Join(m.dir, name) }

// check keeps an error; about says what was made.
func (m *maker) check(about string, err error) {
	if err != nil {
		m.errs = append(m.errs, fmt.Errorf("make %q: %w", about, err))
	}
}

func (m *maker) mkdir(name string, perm fs.FileMode) string {
	m.check(name, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.check(name, os.Mkdir(m.path(name), perm))
	return name
}

func (m *maker) write(name string, data []byte) string {
	m.check(name, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.check(name, os.WriteFile(m.path(name), data, 0o644))
	return name
}

// noise gives n bytes that do not compress.
func (m *maker) noise(n int) []byte {
	b := make([]byte, n)
	_, err := m.random.Read(b)
	m.check("noise", err)
	return b
}

// prose gives n bytes that compress like text.
func (m *maker) prose(n int) []byte {
	words := []string{"the", "mirage", "below", "horizon", "appears", "desktop", "close", "at", "hand", "file", "before", "arrived", "\n"}
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[m.random.Uint64()%uint64(len(words))]...)
		b = append(b, ' ')
	}
	return b[:n]
}
