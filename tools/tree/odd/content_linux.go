package odd

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sizes are those around which formats change their mind.
func (m *maker) sizes() {
	m.write("sizes/empty", nil)
	for _, n := range []int{1, 511, 512, 4095, 4096, 4097, 64 << 10, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1 << 20, 5<<20 + 3} {
		m.write(fmt.Sprintf("sizes/noise-%d", n), m.noise(n))
		m.write(fmt.Sprintf("sizes/prose-%d", n), m.prose(n))
	}
	m.write("sizes/zeros", make([]byte, 3<<20))
	twin := m.noise(700_000)
	m.write("sizes/twin-1", twin)
	m.write("sizes/twin-2", twin)
	m.write("sizes/twin-shifted", append([]byte("shifted by some bytes"), twin...))
}

// sparse files have holes at the start, in the middle, at the end, or only.
func (m *maker) sparse() {
	m.holes("sparse/start", 8<<20, 8<<20-4096)
	m.holes("sparse/middle", 16<<20, 0, 8<<20, 16<<20-10)
	m.holes("sparse/end", 32<<20, 0)
	m.holes("sparse/only", 64<<20)
	m.holes("sparse/uneven", 1_234_567, 4096*50, 4096*200)
}

// holes makes a file of a size with a little data at the given offsets.
func (m *maker) holes(name string, size int64, offsets ...int64) {
	m.write(name, nil)
	f, err := os.OpenFile(m.path(name), os.O_WRONLY, 0)
	m.check(name, err)
	if err != nil {
		return
	}
	defer f.Close()
	for _, at := range offsets {
		_, err := f.WriteAt(m.noise(int(min(4096, size-at))), at)
		m.check(name, err)
	}
	m.check(name, f.Truncate(size))
}

func (m *maker) names() {
	for _, name := range []string{
		"-rf", "--help", " leading", "trailing ", "trailing.", "new\nline", "tab\t", "\nleading newline", "carriage\r",
		"back\\slash", "quote'\"", "$(date)", "*?[a]", "%s%n", "~", "...", ".hidden", "#", ";", "con", "nul.txt", "a:b",
		"Case", "case", "CASE",
		"\xff\xfe", "latin1-caf\xe9", "half-\xe2\x82", "surrogate-\xed\xa0\x80", "\x01\x7f",
		"nfc-\u00e9", "nfd-e\u0301", "nfc-e\u0301", "\u202egnp.exe", "\U0001f3dc", "\ufeffbom",
		strings.Repeat("n", 255), strings.Repeat("\u00fc", 127) + "n", strings.Repeat("\xfd", 255),
	} {
		m.write("names/"+name, []byte(name))
	}
	m.mkdir("names/dir-\xff", 0o755)
	m.write("names/dir-\xff/-\n", []byte("x"))
}

// deep is a path that no system call takes in one piece.
func (m *maker) deep() {
	at, err := unix.Open(m.path(m.mkdir("deep", 0o755)), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; i < 20 && err == nil; i++ {
		name := fmt.Sprintf("%02d-%s", i, strings.Repeat("d", 252))
		err = unix.Mkdirat(at, name, 0o755)
		if err == nil {
			var next int
			next, err = unix.Openat(at, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			unix.Close(at)
			at = next
		}
	}
	m.check("deep", err)
	if err != nil {
		return
	}
	defer unix.Close(at)
	fd, err := unix.Openat(at, "bottom", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	m.check("deep/.../bottom", err)
	if err == nil {
		_, err = unix.Write(fd, []byte("5000 bytes down"))
		m.check("deep/.../bottom", err)
		unix.Close(fd)
	}
	m.check("deep/.../link", unix.Symlinkat("bottom", at, "link"))
}

// many is a directory that is split, and one with nothing in it.
func (m *maker) many() {
	m.mkdir("empty/of/all", 0o755)
	for i := range 3000 {
		m.write(fmt.Sprintf("many/%05d-%08x", i, m.random.Uint64()&0xffffffff), []byte(fmt.Sprint(i)))
	}
}
