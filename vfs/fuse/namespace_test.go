//go:build linux

package fuse_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/vfstest"
)

// A copy of the mount in another mount namespace does not hold an unmount up.
func TestUnmountBesideACopy(t *testing.T) {
	d := vfstest.Desktop{Map: chunk.Map{}, T: t}
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.Open(t.Context(), vfs.Options{
		Backing: filepath.Join(dir, "b"), Side: filepath.Join(dir, "s"),
		Demand: d, Bulk: d, Root: d.Root(d.File("a", []byte("x"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fuse.New(f, mnt, fuse.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", "echo ready; read -r _")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err, m.Detach())
	}
	if _, err := os.Stat(filepath.Join(mnt, "a")); !os.IsNotExist(err) {
		t.Errorf("the mount is still there: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Log("the other namespace ended")
	}
	m.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
