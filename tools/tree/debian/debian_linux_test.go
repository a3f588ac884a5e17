package debian

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tree is a system: its programs run, and it is the same directory at the
// second call.
func TestTree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making a Debian system needs root")
	}
	dir, err := Tree(t.Context(), Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"git --version", "python3 -c 'import json, ssl'", "/home/user/bin/hello", "ls -lR /home/user/odd/names"} {
		// -B: python writes no bytecode into the tree
		cmd := exec.Command("chroot", dir, "/bin/sh", "-c", "PYTHONDONTWRITEBYTECODE=1 exec "+command)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s in the tree: %v\n%s", command, err, out)
		}
	}
	again, err := Tree(t.Context(), Options{})
	if err != nil || again != dir {
		t.Errorf("the second call gave %s, %v, must give %s", again, err, dir)
	}
	if _, err := os.Lstat(dir + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something unfinished is left: %v", err)
	}
}

// Without what it needs it says all of it, and leaves nothing.
func TestUnable(t *testing.T) {
	t.Setenv("PATH", "/nonexistent")
	cache := t.TempDir()
	_, err := Tree(context.Background(), Options{Cache: cache})
	if err == nil || !strings.Contains(err.Error(), "apt-get install mmdebstrap") {
		t.Errorf("without mmdebstrap: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestMirror(t *testing.T) {
	for name, test := range map[string]struct {
		file, text, want string
	}{
		"deb822": {
			"sources.list.d/a.sources",
			"Types: deb\nURIs: http://security.test/debian-security\nSuites: bookworm-security\nComponents: main\n\n" +
				"# main\nTypes: deb deb-src\nURIs: http://mirror.test/debian\n  http://second.test/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\n",
			"http://mirror.test/debian",
		},
		"one line": {
			"sources.list",
			"# deb http://old.test/debian bookworm main\ndeb http://x.test y z\ndeb [arch=amd64 signed-by=/k] http://mirror.test/debian bookworm main contrib\n",
			"http://mirror.test/debian",
		},
		"others only": {"sources.list.d/b.list", "deb http://x.test nodistro main\n", ""},
		"disabled":    {"sources.list.d/b.sources", "Types: deb\nEnabled: no\nURIs: http://x.test\nSuites: sid\nComponents: main\n", ""},
	} {
		apt := t.TempDir()
		if err := os.MkdirAll(filepath.Join(apt, "sources.list.d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(apt, test.file), []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := mirror(apt)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: mirror = %q, %v, must be %q", name, got, err, test.want)
		}
	}
}
