//go:build unix

package pgrun

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/looming-project/looming/vfs/durable"
)

// What the account owns, the account may replace by anything at any moment, while this process may be root. So nothing
// is written into its directories, links of its making are not followed, and what its files say is believed only where
// that can do no harm. Directories are judged and changed through one descriptor.

// maxRead bounds what is read of a file that the account wrote, in bytes.
const maxRead = 1 << 20

// keepTop makes DIR root's, where others only pass through. Earlier versions gave it to the account.
func (c *cluster) keepTop() error {
	f, st, err := openDir(c.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	me := uint32(os.Geteuid())
	if st.Uid != me && st.Uid != c.as.uid {
		return fmt.Errorf("%w: %s belongs to somebody else: remove it, or chown it", ErrOwner, c.dir)
	}
	if me != 0 {
		return f.Chmod(0o700)
	}
	if err := f.Chown(0, os.Getegid()); err != nil {
		return err
	}
	return f.Chmod(0o711)
}

// ownDir makes a directory that only the account may enter. One that is there already must be the account's; root's is
// taken for one that was not given away yet only in DIR, where nobody but root can put it.
func (c *cluster) ownDir(path string) error {
	err := os.Mkdir(path, 0o700)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if made {
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	f, st, err := openDir(path)
	if err != nil {
		return err
	}
	defer f.Close()
	me := uint32(os.Geteuid())
	unfinished := st.Uid == me && (made || filepath.Dir(path) == c.dir)
	if st.Uid != c.as.uid && !unfinished {
		return fmt.Errorf("%w: %s belongs to somebody else: remove it, or chown it", ErrOwner, path)
	}
	if err := f.Chmod(0o700); err != nil || me != 0 {
		return err
	}
	return f.Chown(int(c.as.uid), int(c.as.gid))
}

// openDir opens a directory, and no link to one.
func openDir(path string) (*os.File, *syscall.Stat_t, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil, fmt.Errorf("%w: %s is not a directory: remove it", ErrOwner, path)
	}
	if err != nil {
		return nil, nil, err
	}
	st, err := statOf(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

func statOf(f *os.File) (*syscall.Stat_t, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("owner of %s: %w", f.Name(), errors.ErrUnsupported)
	}
	return st, nil
}

// readOf reads the beginning of a plain file of that user's, and nothing that it is a link to.
func readOf(path string, uid uint32) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := statOf(f)
	if err != nil {
		return nil, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Uid != uid {
		return nil, fmt.Errorf("%w: %s is not a file of user %d", ErrOwner, path, uid)
	}
	return io.ReadAll(io.LimitReader(f, maxRead))
}

// newLog makes start.log anew.
func (c *cluster) newLog() (*os.File, error) {
	if err := os.Remove(c.startLog()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(c.startLog(), os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
}

func (c *cluster) startLog() string { return filepath.Join(c.dir, "start.log") }
