//go:build linux

package fuse_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// until waits for what must come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) { // it looks again
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}

// reader is a program that reads a file which is held back, and waits.
func (k *kept) reader(p string) (*exec.Cmd, *bytes.Buffer) {
	k.t.Helper()
	cmd, out := exec.Command("cat", filepath.Join(k.dir, "mnt", p)), &bytes.Buffer{}
	cmd.Stdout = out
	must(k.t, cmd.Start())
	k.t.Cleanup(func() { _ = cmd.Process.Kill() })
	until(k.t, "the reader waits", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", cmd.Process.Pid))
		return string(b) == "request_wait_answer" || string(b) == "folio_wait_bit_common" // for an answer, or a page
	})
	return cmd, out
}

// group is a new group of the freezer: version 2 of cgroups, wherever it is.
func group(t *testing.T) string {
	for _, top := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(top, "cgroup.controllers")); err == nil {
			dir := filepath.Join(top, "looming-test-"+strconv.Itoa(os.Getpid()))
			must(t, os.Mkdir(dir, 0o755))
			t.Cleanup(func() { until(t, "the group is empty", func() bool { return unix.Rmdir(dir) == nil }) })
			return dir
		}
	}
	t.Fatal("this machine has no cgroups of version 2")
	return ""
}

// Readers that wait can be stopped, frozen and killed, and so can the process that
// serves them: whoever goes on gets the right bytes, and who was killed is gone.
func TestFrozen(t *testing.T) {
	k, _ := keep(t, crashLazy+"=1")
	dir := group(t)
	put := func(file, what string) { must(t, os.WriteFile(filepath.Join(dir, file), []byte(what), 0o600)) }
	events := func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		return string(b)
	}
	for name, f := range map[string]struct{ freeze, thaw func(pid int) }{
		"stopped": {
			func(pid int) { must(t, syscall.Kill(pid, syscall.SIGSTOP)) },
			func(pid int) { must(t, syscall.Kill(pid, syscall.SIGCONT)) },
		},
		"frozen": {
			func(pid int) { put("cgroup.procs", strconv.Itoa(pid)); put("cgroup.freeze", "1") },
			func(int) {
				until(t, "the group is frozen", func() bool { return strings.Contains(events(), "frozen 1") })
				put("cgroup.freeze", "0")
			},
		},
	} {
		g := map[string]int{"stopped": 0, "frozen": 1}[name]
		k.fault("held")
		waits, out := k.reader(fmt.Sprintf("w%d/single", g))
		dies, _ := k.reader(fmt.Sprintf("w%d/single", g+2))
		f.freeze(waits.Process.Pid)
		must(t, dies.Process.Kill()) // its answer is held back
		_ = dies.Wait()
		k.fault("")
		f.thaw(waits.Process.Pid)
		if err := waits.Wait(); err != nil || !bytes.Equal(out.Bytes(), vfstest.Body(90_000, byte(g+50))) {
			t.Errorf("%s: %d bytes, %v", name, out.Len(), err)
		}
	}
	k.fault("held")
	waits, out := k.reader("w0/ranged")
	dies, _ := k.reader("w1/ranged")
	must(t, syscall.Kill(k.pid, syscall.SIGSTOP), dies.Process.Kill())
	k.fault("")
	must(t, syscall.Kill(k.pid, syscall.SIGCONT))
	_ = dies.Wait()
	if err := waits.Wait(); err != nil || !bytes.Equal(out.Bytes(), vfstest.Body(900_000, 0)) {
		t.Errorf("the process was stopped: %d bytes, %v", out.Len(), err)
	}
}
