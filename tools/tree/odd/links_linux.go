package odd

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func (m *maker) link(from, to string) {
	m.check(to, os.MkdirAll(m.path(to[:strings.LastIndex(to, "/")]), 0o755))
	// not os.Link: what is a symbolic link is linked itself
	m.check(to, unix.Linkat(unix.AT_FDCWD, m.path(from), unix.AT_FDCWD, m.path(to), 0))
}

// hardLinks join files in one directory, across directories, and things that
// are not regular files.
func (m *maker) hardLinks() {
	m.write("hard/a/small", []byte("three names"))
	m.link("hard/a/small", "hard/a/small-again")
	m.link("hard/a/small", "hard/z/small")
	m.write("hard/a/large", m.noise(2<<20))
	m.link("hard/a/large", "hard/b/c/d/large")
	m.write("hard/a/empty", nil)
	m.link("hard/a/empty", "hard/b/empty")
	m.check("hard/a/symlink", os.Symlink("small", m.path("hard/a/symlink")))
	m.link("hard/a/symlink", "hard/b/symlink")
	m.mknod("hard/a/fifo", unix.S_IFIFO|0o600, 0)
	m.link("hard/a/fifo", "hard/b/fifo")
	// the same content without being the same file
	m.write("hard/a/alone", []byte("three names"))
}

func (m *maker) symlinks() {
	m.mkdir("symlinks/dir", 0o755)
	for name, target := range map[string]string{
		"dangling": "nowhere/at/all", "absolute": "/etc/hostname", "to-dir": "dir", "loop": "loop", "up": "../../..",
		"self": ".", "spaces": " a b ", "newline": "a\nb", "latin1": "caf\xe9", "slashes": "dir//.//", "dash": "-rf",
		"long": strings.Repeat("t/", 2047) + "t",
	} {
		m.check("symlinks/"+name, os.Symlink(target, m.path("symlinks/"+name)))
	}
}

func (m *maker) mknod(name string, mode uint32, device uint64) {
	m.check(name, os.MkdirAll(m.path(name[:strings.LastIndex(name, "/")]), 0o755))
	m.check(name, unix.Mknod(m.path(name), mode, int(device)))
}

func (m *maker) special() {
	m.mknod("special/fifo", unix.S_IFIFO|0o640, 0)
	m.mknod("special/socket", unix.S_IFSOCK|0o755, 0)
	m.mknod("special/null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
	m.mknod("special/block", unix.S_IFBLK|0o660, unix.Mkdev(7, 255))
	m.mknod("special/large-numbers", unix.S_IFCHR|0o600, unix.Mkdev(4095, 1<<20-1))
	m.mknod("special/whiteout", unix.S_IFCHR, unix.Mkdev(0, 0))
}

// times come last, because making things changes them.
func (m *maker) times() {
	for name, at := range map[string]time.Time{
		"nanoseconds": time.Unix(1_700_000_000, 123_456_789),
		"one":         time.Unix(1_600_000_000, 1),
		"epoch":       time.Unix(0, 0),
		"before":      time.Date(1955, 11, 5, 6, 15, 0, 999_999_999, time.UTC),
		"just-before": time.Unix(-1, 500_000_000),
		"after-2038":  time.Date(2040, 2, 29, 12, 0, 0, 5, time.UTC),
		"future":      time.Date(2150, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		m.stamp(m.write("times/"+name, []byte(name)), at)
		m.check(name, os.Symlink(name, m.path("times/"+name+"-link")))
		m.stamp("times/"+name+"-link", at)
		m.stamp(m.mkdir("times/"+name+"-dir", 0o755), at)
		m.mknod("times/"+name+"-fifo", unix.S_IFIFO|0o600, 0)
		m.stamp("times/"+name+"-fifo", at)
	}
}

func (m *maker) stamp(name string, at time.Time) {
	ts := unix.NsecToTimespec(at.UnixNano())
	m.check(name, unix.UtimesNanoAt(unix.AT_FDCWD, m.path(name), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}
