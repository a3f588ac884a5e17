// Package durabletest plays crashes and disk errors at the operations of package durable, for tests.
//
// A crash test runs the same work again and again in a child process and lets it die at operation 1, 2, 3 ... until
// a run gets to its end; after each death it looks at the disk, runs the work once more without a fault, and looks
// again. A disk error test does the same in process, with Fail instead of Kill.
package durabletest

import (
	"os"
	"sync/atomic"

	"github.com/looming-project/looming/vfs/durable"
)

// At returns a fault function for durable.SetFault that calls act at the n-th call, counted from 1, and at no other.
// Each operation counts twice: before it starts and when it has succeeded.
func At(n int, act func(durable.Op) error) func(durable.Op) error {
	var calls atomic.Int64
	return func(op durable.Op) error {
		if calls.Add(1) == int64(n) {
			return act(op)
		}
		return nil
	}
}

// From is At for the n-th call and all that follow, such as on a disk that has gone away or is full.
func From(n int, act func(durable.Op) error) func(durable.Op) error {
	var calls atomic.Int64
	return func(op durable.Op) error {
		if calls.Add(1) >= int64(n) {
			return act(op)
		}
		return nil
	}
}

// Kill ends the process on the spot, without deferred calls, as kill -9 does.
func Kill(op durable.Op) error {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		os.Exit(137)
	}
	select {} // the signal is under way
}

// Fail returns an act that fails the operation with err, a system error such as syscall.ENOSPC or syscall.EIO.
func Fail(err error) func(durable.Op) error {
	return func(durable.Op) error { return err }
}

// Record returns a fault function that disturbs nothing, and a slice to which it adds every operation that has
// succeeded. It is for work in one goroutine.
func Record() (func(durable.Op) error, *[]durable.Op) {
	var ops []durable.Op
	return func(op durable.Op) error {
		if op.After {
			ops = append(ops, op)
		}
		return nil
	}, &ops
}
