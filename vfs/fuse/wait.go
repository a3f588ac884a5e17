//go:build linux

package fuse

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
)

// waiting is the context of a request that may wait for the network. It is done
// when the process that waits is killed; the kernel interrupts requests for any
// signal, and other signals are not to be seen by a read from a disk.
type waiting struct {
	context.Context
	interrupted <-chan struct{}
	pid         uint32
	user        uint32

	once sync.Once
	done chan struct{}
	over chan struct{}
}

// wait returns the context of a request and its end.
func wait(interrupted <-chan struct{}, in *fuse.InHeader) (*waiting, func()) {
	w := &waiting{
		Context: context.Background(), interrupted: interrupted, pid: in.Pid, user: in.Uid,
		done: make(chan struct{}), over: make(chan struct{}),
	}
	return w, func() { close(w.over) }
}

// Done starts to watch: only requests that really wait ask for it.
func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { go w.watch() })
	return w.done
}

// Value knows who asks.
func (w *waiting) Value(key any) any {
	if key == vfs.Caller {
		return w.user
	}
	return nil
}

// Err says whether the process was killed.
func (w *waiting) Err() error {
	select {
	case <-w.done:
		return context.Canceled
	default:
		return nil
	}
}

func (w *waiting) watch() {
	select {
	case <-w.over:
		return
	case <-w.interrupted:
	}
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for !killed(w.pid) {
		select {
		case <-w.over:
			return
		case <-t.C:
		}
	}
	close(w.done)
}

// sigkill is SIGKILL's bit in a mask of /proc/PID/status.
const sigkill = 1 << 8

// killed says whether a thread has SIGKILL pending, or is gone.
func killed(pid uint32) bool {
	if pid == 0 {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true
	}
	for line := range bytes.Lines(b) {
		mask, ok := bytes.CutPrefix(line, []byte("SigPnd:"))
		if !ok {
			mask, ok = bytes.CutPrefix(line, []byte("ShdPnd:"))
		}
		if v, err := strconv.ParseUint(string(bytes.TrimSpace(mask)), 16, 64); ok && err == nil && v&sigkill != 0 {
			return true
		}
	}
	return false
}
