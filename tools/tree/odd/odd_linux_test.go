package odd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/tools/tree/odd"
)

// What the package promises is there, as the system's own tools see it.
func TestMake(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("device nodes, owners and capabilities need root")
	}
	dir := t.TempDir()
	if err := odd.Make(dir); err != nil {
		t.Fatal(err)
	}
	for _, promise := range []struct {
		what string
		find []string
		n    int
	}{
		{"setuid files", []string{"-type", "f", "-perm", "-4000"}, 10},
		{"sticky directories", []string{"-type", "d", "-perm", "-1000"}, 2},
		{"block devices", []string{"-type", "b"}, 1},
		{"character devices", []string{"-type", "c"}, 3},
		{"fifos", []string{"-type", "p"}, 10},
		{"sockets", []string{"-type", "s"}, 1},
		{"hard links", []string{"-type", "f", "-links", "+1"}, 7},
		{"hard links that are no files", []string{"(", "-type", "l", "-o", "-type", "p", ")", "-links", "+1"}, 4},
		{"empty files", []string{"-type", "f", "-empty"}, 5},
		{"empty directories", []string{"-type", "d", "-empty"}, 10},
		{"dangling links", []string{"-type", "l", "-not", "-name", "loop", "-xtype", "l"}, 5},
		{"files before 1970", []string{"-not", "-newermt", "1970-01-01 UTC"}, 8},
		{"files after 2100", []string{"-newermt", "2100-01-01 UTC"}, 4},
		{"names of 255 bytes", []string{"-regextype", "posix-extended", "-regex", ".*/n{255}"}, 1},
		{"files of others", []string{"-uid", "2000000000"}, 3},
		{"paths of more than 4096 bytes", []string{"-name", "bottom"}, 1},
	} {
		out, err := exec.Command("find", append(append([]string{dir, "-mindepth", "1"}, promise.find...), "-printf", "x")...).CombinedOutput()
		if err != nil {
			t.Fatalf("find %v: %v\n%s", promise.find, err, out)
		}
		if len(out) < promise.n || bytes.Trim(out, "x") != nil {
			t.Errorf("%d %s, must be at least %d: %s", len(out), promise.what, promise.n, bytes.Trim(out, "x"))
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "sparse/only"), &st); err != nil || st.Blocks > 16 || st.Size != 64<<20 {
		t.Errorf("sparse/only has %d blocks for %d bytes (%v), must be one hole", st.Blocks, st.Size, err)
	}
	for name, key := range map[string]string{
		"acls/file": "system.posix_acl_access", "acls/dir": "system.posix_acl_default", "acls/dir/heir": "system.posix_acl_access",
		"xattrs/capable": "security.capability", "xattrs/link": "trusted.on-a-link",
	} {
		if n, err := unix.Lgetxattr(filepath.Join(dir, name), key, nil); err != nil || n < 1 {
			t.Errorf("%s has no %s: %v", name, key, err)
		}
	}
	if err := odd.Make(dir); err == nil || !strings.Contains(err.Error(), "empty directory") {
		t.Errorf("Make on a full directory gave %v", err)
	}
}
