//go:build unix

package pgrun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is whom Postgres runs as. It refuses to run as root.
type account struct {
	name     string
	uid, gid uint32
}

// chooseAccount is ourselves, or under root the owner of the cluster, or of a cluster to be made.
func chooseAccount(data string) (account, error) {
	me := account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	owner, err := ownerOf(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if me.uid == 0 {
			return systemAccount()
		}
		return me, nil
	case err != nil:
		return me, err
	case me.uid == 0 && owner.uid != 0:
		return owner, nil
	case me.uid == 0:
		return me, fmt.Errorf("%w: %s belongs to root, and Postgres does not run as root: chown -R postgres %s", ErrOwner, data, data)
	case owner.uid != me.uid:
		return me, fmt.Errorf("%w: %s belongs to user %s, and this runs as user %d: run it as that user or as root, or chown -R it",
			ErrOwner, data, owner.name, me.uid)
	}
	return me, nil
}

// systemAccount is the user that a distribution has for Postgres, or nobody.
func systemAccount() (account, error) {
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return account{name, uint32(uid), uint32(gid)}, nil
		}
	}
	return account{}, fmt.Errorf("%w: Postgres does not run as root, and there is no user postgres or nobody: add one (useradd --system postgres)", ErrOwner)
}

// ownerOf a directory. A symbolic link is refused: its owner could lead it to what belongs to somebody else.
func ownerOf(path string) (account, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return account{}, err
	}
	if !info.IsDir() {
		return account{}, fmt.Errorf("%w: %s is not a directory: move the directory above it, or mount one there", ErrOwner, path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{}, fmt.Errorf("owner of %s: %w", path, errors.ErrUnsupported)
	}
	a := account{name: strconv.FormatUint(uint64(st.Uid), 10), uid: st.Uid, gid: st.Gid}
	if u, err := user.LookupId(a.name); err == nil {
		a.name = u.Username
	}
	return a, nil
}

// mayEnter makes sure that the account can walk down to dir. It opens the directory above dir, which is the server's
// own; what lies higher is the admin's, so it says what is closed.
func (a account) mayEnter(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	parent := filepath.Dir(dir)
	for p := parent; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if !a.searches(info) {
			if p != parent {
				return fmt.Errorf("%w: user %s, whom Postgres runs as, may not enter %s: choose a data directory elsewhere (/var/lib/looming), or chmod o+x %s",
					ErrOwner, a.name, p, p)
			}
			if err := os.Chmod(p, info.Mode().Perm()|0o001); err != nil {
				return err
			}
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

func (a account) searches(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch {
	case st.Uid == a.uid:
		return info.Mode()&0o100 != 0
	case st.Gid == a.gid:
		return info.Mode()&0o010 != 0
	}
	return info.Mode()&0o001 != 0
}

// attributes start a process as the account, in a session of its own.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{a.gid}}
	}
	return attr
}

// environment is what Postgres' programs get: nothing of ours that could redirect them.
func environment() []string {
	env := []string{"LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin"}
	for _, kv := range (&exec.Cmd{}).Environ() {
		if name, _, _ := strings.Cut(kv, "="); name == "TMPDIR" || name == "LD_LIBRARY_PATH" {
			env = append(env, kv)
		}
	}
	return env
}
