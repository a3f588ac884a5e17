//go:build linux

package keeper_test

import (
	"bytes"
	"errors"
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
	if what == "full" {
		return liveFull(k)
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

// What is kept is handed over however much it is; beyond that it is refused. A
// start that fails while something is kept is tried again.
func TestFull(t *testing.T) {
	starts := 0
	var out bytes.Buffer
	code, err := keeper.Run(func() (*exec.Cmd, error) {
		if starts++; starts == 2 {
			return exec.Command("/none"), nil
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), act+"=full")
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		return cmd, nil
	}, keeper.Options{})
	if code != 7 || err != nil || starts != 3 {
		t.Errorf("code %d, %v, %d starts\n%s", code, err, starts, out.String())
	}
}

// liveFull keeps all that it may, and drops it in its second life.
func liveFull(k *keeper.Client) int {
	old := k.Names("full.")
	for _, name := range old {
		if k.Drop(name) != nil {
			return 95
		}
	}
	if len(old) > 0 {
		if len(k.Names("")) > 0 || len(old) < 5000 {
			return 94
		}
		return 7
	}
	for i := 0; ; i++ {
		if err := k.Keep(fmt.Sprintf("full.%015d", i), 0); errors.Is(err, keeper.ErrFull) {
			return 1
		} else if err != nil {
			return 93
		}
	}
}
