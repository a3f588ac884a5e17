package compare_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/tools/tree/compare"
	"github.com/looming-project/looming/tools/tree/odd"
)

// Trees that were made alike are alike, and every kind of change is seen.
func TestTrees(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("device nodes, owners and capabilities need root")
	}
	want, got := t.TempDir(), t.TempDir()
	for _, dir := range []string{want, got} {
		if err := odd.Make(dir); err != nil {
			t.Fatal(err)
		}
	}
	// The times of making differ, everything else is set: give both one time.
	for _, dir := range []string{want, got} {
		touch := exec.Command("find", dir, "-depth", "-not", "-path", "*/times/*", "-exec", "touch", "-h", "-d", "2024-05-06 07:08:09.123456789", "{}", "+")
		if out, err := touch.CombinedOutput(); err != nil && !strings.Contains(string(out), "File name too long") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	deep := func(path string) bool { return strings.HasPrefix(path, "deep/") }
	differences := func() []string {
		found, err := compare.Trees(t.Context(), want, got, compare.Options{Skip: deep, Holes: true})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := differences(); len(found) > 0 {
		t.Fatalf("trees that were made alike differ:\n%s", strings.Join(found, "\n"))
	}
	if found, err := compare.Trees(t.Context(), want, got, compare.Options{}); err != nil || !strings.Contains(strings.Join(found, ""), "bottom\": the mtime") {
		t.Errorf("the file 5000 bytes down has another time, and that was not seen: %v, %v", found, err)
	}
	at := func(name string) string { return filepath.Join(got, name) }
	changes := []struct {
		what, want string
		do         func() error
	}{
		{"a byte", "sizes/noise-4096\": the content", func() error { return flip(at("sizes/noise-4096")) }},
		{"a mode", "modes/file-4755\": the mode", func() error { return unix.Chmod(at("modes/file-4755"), 0o755) }},
		{"an owner", "33-0-link\": the group", func() error { return os.Lchown(at("owners/33-0-link"), 33, 7) }},
		{"a target", "symlinks/dangling\": the target", func() error { return relink("elsewhere", at("symlinks/dangling")) }},
		{"an attribute", "xattrs/user\": attribute user.text", func() error { return unix.Setxattr(at("xattrs/user"), "user.text", []byte("b"), 0) }},
		{"a capability", "xattrs/capable\": attribute security.capability", func() error { return unix.Removexattr(at("xattrs/capable"), "security.capability") }},
		{"a link's attribute", "xattrs/link\": attribute trusted.on-a-link", func() error { return unix.Lremovexattr(at("xattrs/link"), "trusted.on-a-link") }},
		{"an ACL", "acls/dir\": attribute system.posix_acl_default", func() error { return unix.Removexattr(at("acls/dir"), "system.posix_acl_default") }},
		{"a hard link", "hard/z/small\": the same file as", func() error { return copyOver(at("hard/a/small"), at("hard/z/small")) }},
		{"a new entry", "names/new\": the entry is there", func() error { return os.WriteFile(at("names/new"), nil, 0o600) }},
		{"a lost entry", "\": the entry is absent", func() error { return os.Remove(at("many") + "/" + firstName(at("many"))) }},
		{"a type", "special/fifo\": the type is file, must be fifo", func() error {
			os.Remove(at("special/fifo"))
			return os.WriteFile(at("special/fifo"), nil, 0o640)
		}},
		{"a hole", "sparse/only\": the room on the disk", func() error { return copyOver(at("sparse/only"), at("sparse/only")) }},
	}
	for _, change := range changes {
		if err := change.do(); err != nil {
			t.Fatalf("%s: %v", change.what, err)
		}
	}
	found := strings.Join(differences(), "\n")
	for _, change := range changes {
		if !strings.Contains(found, change.want) {
			t.Errorf("%s was changed, and %s was not seen:\n%s", change.what, change.want, found)
		}
	}
}

func flip(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b[len(b)-1] ^= 1
	return os.WriteFile(name, b, 0o644)
}

func relink(target, name string) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return os.Symlink(target, name)
}

func firstName(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return ""
	}
	return entries[0].Name()
}

// copyOver writes all bytes of a file into a new one in the place of another.
func copyOver(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
