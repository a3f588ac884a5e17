//go:build linux && cgo

package winfsp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/vfstest"
	"github.com/looming-project/looming/vfs/winfsp"
)

func TestMount(t *testing.T) {
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	mid, big := vfstest.Body(20000, 2), vfstest.Body(5<<20, 3)
	root := d.Root(d.File("big", big), d.Dir("etc", d.File("mid", mid), d.File("small", []byte("x"))))
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.Open(t.Context(), vfs.Options{Backing: filepath.Join(dir, "b"), Side: filepath.Join(dir, "s"), Demand: d, Bulk: d, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	m, err := winfsp.New(f, mnt, winfsp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Unmount(); err != nil {
			t.Error(err, m.Detach())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	for name, want := range map[string][]byte{"etc/mid": mid, "etc/small": []byte("x"), "big": big} {
		got, err := os.ReadFile(filepath.Join(mnt, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes, equal %v", name, err, len(got), bytes.Equal(got, want))
		}
	}
	out, err := exec.Command("sh", "-ec", `cd "$1"; ls -la . etc; echo more >> etc/mid; tail -c 5 etc/mid; mkdir d; mv etc/small d/; ln d/small l; rm d/small; cat l; stat -c %h l; setfattr -n user.a -v b l; getfattr -d l; cp -a etc e2; rm -r etc d; truncate -s 3 big; cat big | wc -c; find . | sort; df . `, "sh", mnt).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
