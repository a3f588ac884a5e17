package pivot

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount point is a directory here, not a link.
const mountIsLink = false

// mountPoint is one line of /proc/self/mountinfo.
type mountPoint struct {
	path  string
	kind  string // file system type
	major uint32
	minor uint32
}

// mounts lists the mounts that this process sees, the later ones over the earlier.
func mounts() ([]mountPoint, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var list []mountPoint
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if m, ok := parseMount(lines.Text()); ok {
			list = append(list, m)
		}
	}
	return list, nil
}

// parseMount reads a line as proc_pid_mountinfo(5) describes it.
func parseMount(line string) (mountPoint, bool) {
	before, after, ok := strings.Cut(line, " - ")
	fields := strings.Fields(before)
	kind, _, _ := strings.Cut(after, " ")
	if !ok || len(fields) < 5 {
		return mountPoint{}, false
	}
	major, minor, _ := strings.Cut(fields[2], ":")
	ma, err1 := strconv.ParseUint(major, 10, 32)
	mi, err2 := strconv.ParseUint(minor, 10, 32)
	return mountPoint{unescape(fields[4]), kind, uint32(ma), uint32(mi)}, err1 == nil && err2 == nil
}

// unescape undoes the octal escapes (\040 for a space) of /proc.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountsAt lists the mounts at path, the uppermost last.
func mountsAt(path string) ([]mountPoint, error) {
	all, err := mounts()
	var at []mountPoint
	for _, m := range all {
		if m.path == path {
			at = append(at, m)
		}
	}
	return at, err
}

// mountsUnder lists the mounts below path.
func mountsUnder(path string) ([]mountPoint, error) {
	all, err := mounts()
	var under []mountPoint
	for _, m := range all {
		if strings.HasPrefix(m.path, path+"/") {
			under = append(under, m)
		}
	}
	return under, err
}

// isDead reports whether the mount at path has lost its server.
// It asks for the room there, since attributes may be answered from the kernel's
// memory long after the server is gone.
func isDead(path string) bool {
	var st unix.Statfs_t
	return errors.Is(unix.Statfs(path, &st), unix.ENOTCONN)
}

// openBelow opens the directory that a mount at path hides, by a private copy of the file system above it without the
// mounts in it. That needs CAP_SYS_ADMIN.
func openBelow(path string) (*os.File, error) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	tree, err := unix.OpenTree(unix.AT_FDCWD, filepath.Dir(path), flags)
	if err != nil {
		return nil, err
	}
	defer unix.Close(tree)
	name := filepath.Base(path)
	fd, err := unix.Openat(tree, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func contentBelow(path string) Content {
	d, err := openBelow(path)
	if errors.Is(err, os.ErrNotExist) {
		return Missing
	}
	if err != nil {
		return Hidden
	}
	defer d.Close()
	c, err := contentOf(d)
	if err != nil {
		return Hidden
	}
	return c
}

func identify(path string) (identity, error) {
	return statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
}

// identifyBelow is identify for a path that may have a mount over it.
func identifyBelow(path string) (identity, error) {
	at, err := mountsAt(path)
	if err != nil {
		return identity{}, err
	}
	if len(at) == 0 {
		return identify(path)
	}
	d, err := openBelow(path)
	if err != nil {
		return identity{}, err
	}
	defer d.Close()
	return statx(int(d.Fd()), "", unix.AT_EMPTY_PATH)
}

func statx(dir int, path string, flags int) (identity, error) {
	var st unix.Statx_t
	if err := unix.Statx(dir, path, flags, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	id := identity{Inode: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

// unmount takes the uppermost mount at path away, by fusermount where this process may not.
func unmount(ctx context.Context, path string, lazy bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(path, flags)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EPERM) {
		return &os.PathError{Op: "unmount", Path: path, Err: err}
	}
	args := []string{"-u", path}
	if lazy {
		args = []string{"-u", "-z", path}
	}
	for _, tool := range []string{"fusermount3", "fusermount"} {
		out, toolErr := exec.CommandContext(ctx, tool, args...).CombinedOutput()
		if toolErr == nil {
			return nil
		}
		if !errors.Is(toolErr, exec.ErrNotFound) {
			return fmt.Errorf("unmount %s: %w: %s", path, toolErr, bytes.TrimSpace(out))
		}
	}
	return fmt.Errorf("unmount %s: %w (neither fusermount3 nor fusermount is installed)", path, err)
}
