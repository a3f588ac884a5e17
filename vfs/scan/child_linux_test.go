package scan

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
	"go.uber.org/goleak"
)

// childEnv makes the test's program take one snapshot, so that it can be killed, or run as another user.
const childEnv = "LOOMING_TEST_SCAN_CHILD"

func TestMain(m *testing.M) {
	if order := os.Getenv(childEnv); order != "" {
		os.Exit(childMain(order))
	}
	goleak.VerifyTestMain(m)
}

// order is what a child is to do, answer what it says.
type order struct {
	URL, Root, Cache string
	CA, Cert, Key    []byte
}

type answer struct {
	Root       cvd.Root
	Read       int64
	Unreadable map[string]string
	Denied     int
	Err        string
}

func childMain(text string) int {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	pair, err := tls.X509KeyPair(o.Cert, o.Key)
	if err != nil {
		panic(err)
	}
	c, err := remote.New(remote.Options{URL: o.URL, CA: o.CA, Cert: pair})
	if err != nil {
		panic(err)
	}
	var count Counters
	a := answer{Unreadable: map[string]string{}}
	res, err := Snapshot(context.Background(), c, Options{
		Root: o.Root, Cache: o.Cache, CVD: "desk", Count: &count, Now: later,
		Unreadable: func(path string, err error) {
			a.Unreadable[path] = err.Error()
			if errors.Is(err, os.ErrPermission) {
				a.Denied++
			}
		},
	}, wire.CommitRequest{})
	a.Root, a.Read = res.Root, count.BytesRead.Load()
	if err != nil {
		a.Err = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		panic(err)
	}
	return 0
}

// child runs a snapshot in a process of its own. started, if set, is called with its id.
func child(t *testing.T, s *remotetest.Server, root, cache string, attr *syscall.SysProcAttr, started func(pid int)) (answer, error) {
	t.Helper()
	o := order{URL: s.URL, Root: root, Cache: cache, CA: s.CA}
	o.Cert, o.Key = s.Credentials("laptop")
	text, err := json.Marshal(o)
	must(t, err)
	var out bytes.Buffer
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, os.Stderr, attr
	must(t, cmd.Start())
	if started != nil {
		started(cmd.Process.Pid)
	}
	if err := cmd.Wait(); err != nil {
		return answer{}, err
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return a, fmt.Errorf("the child said %q: %w", out.String(), err)
	}
	return a, nil
}
