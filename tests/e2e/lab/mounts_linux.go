package lab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounted says whether a file system that answers is mounted at dir.
func Mounted(dir string) bool {
	var at, above unix.Stat_t
	if unix.Stat(dir, &at) != nil || unix.Stat(filepath.Dir(dir), &above) != nil {
		return false
	}
	return at.Dev != above.Dev
}

// Under gives the mount points at dir or beneath it, the last mounted first.
func Under(dir string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	var found []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			found = append([]string{f[4]}, found...)
		}
	}
	return found, err
}

// Unmount takes away whatever is mounted at dir or beneath it.
func Unmount(dir string) error {
	all, err := Under(dir)
	for _, point := range all {
		err = errors.Join(err, unix.Unmount(point, unix.MNT_DETACH))
	}
	return err
}

// Within is a command that has dir as its root directory. It is chroot that
// starts the program: a process must not wait in an exec for a file that comes
// over a line which it carries itself.
func Within(dir string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("chroot", append([]string{dir, name}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	return cmd
}
