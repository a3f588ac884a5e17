//go:build linux

package keeper_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs/keeper"
	"golang.org/x/sys/unix"
)

// act tells the test binary what to do as the process that is kept.
const act = "LOOMING_TEST_KEPT"

func TestMain(m *testing.M) {
	if what := os.Getenv(act); what != "" {
		os.Exit(live(what))
	}
	os.Exit(m.Run())
}

// live is one life of a process: each counts in a descriptor that it gives away.
func live(what string) (code int) {
	k, err := keeper.Connect(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	fd, again := k.Take("count")
	if !again {
		if fd, err = unix.MemfdCreate("count", 0); err != nil || k.Keep("count", fd) != nil {
			return 98
		}
	}
	f := os.NewFile(uintptr(fd), "count")
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, 100)) // none yet in the first life
	lives, _ := strconv.Atoi(string(b))
	lives++
	if _, err := f.WriteAt([]byte(strconv.Itoa(lives)), 0); err != nil {
		return 97
	}
	fmt.Println("life", lives)
	switch {
	case what == "always" || what == "thrice" && lives < 3:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case what == "panics" && lives < 2:
		return 2 // with something kept: it did not mean to end
	}
	if k.Drop("count") != nil {
		return 96
	}
	return 7
}

// What dies is started again with what it gave away, until it ends by itself, or dies too often.
func TestRun(t *testing.T) {
	for what, want := range map[string]struct{ lives, code int }{
		"ends": {1, 7}, "thrice": {3, 7}, "panics": {2, 7}, "always": {5, 128 + 9},
	} {
		var out bytes.Buffer
		code, err := keeper.Run(func() (*exec.Cmd, error) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), act+"="+what)
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			return cmd, nil
		}, keeper.Options{Deaths: 5})
		if code != want.code || (err != nil) != (what == "always") || strings.Count(out.String(), "life") != want.lives ||
			!strings.HasSuffix(out.String(), fmt.Sprintf("life %d\n", want.lives)) {
			t.Errorf("%s: code %d, %v\n%s", what, code, err, out.String())
		}
	}
}
