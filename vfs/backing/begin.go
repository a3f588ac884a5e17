package backing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/durable"
)

// rootFile in the state directory says which desktop the backing directory holds.
// It is written after the top directory is a placeholder for it.
const rootFile = "root"

// Begun says whether the backing directory holds the desktop already, and
// refuses it if it holds another. A zero root takes what is there.
func (s *Store) Begun(root cvd.Root) (bool, error) {
	path := filepath.Join(s.side, rootFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var have cvd.Root
	if err := have.UnmarshalText([]byte(strings.TrimSpace(string(b)))); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if st, err := os.Stat(path); err == nil {
		s.since = st.ModTime().Unix()
	}
	if !root.IsZero() && have != root {
		return false, fmt.Errorf("the backing directory holds another desktop (root %s): finish or remove it first", have)
	}
	return true, nil
}

// Begin makes the empty backing directory a placeholder for the desktop.
func (s *Store) Begin(root cvd.Root, top *cvd.Entry) error {
	if err := s.MarkTop(top); err != nil {
		return err
	}
	if err := s.Sync(); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(s.side, rootFile), []byte(root.String()+"\n"), 0o600)
}
