// Package chunktest says what every chunk.Source must do.
package chunktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

// Options says what a Source under test can do.
type Options struct {
	// New makes a Source that holds the chunks whose plain bytes these are, and no others.
	New func(t *testing.T, plains [][]byte) chunk.Source
	// Damage breaks the stored form of a chunk of the Source that New made last, so that what is
	// stored does not match its id. It is nil for a Source that stores nothing.
	Damage func(t *testing.T, id chunk.ID)
}

// Run runs the suite.
func Run(t *testing.T, o Options) {
	t.Helper()
	type test struct {
		name string
		run  func(*testing.T, Options)
	}
	tests := []test{
		{"gives every chunk once with its bytes", everyChunkOnce},
		{"gives equal ids each its answer", equalIDs},
		{"says which chunks it lacks and gives the others", missing},
		{"never calls back concurrently", oneAtATime},
		{"takes calls from several goroutines", parallel},
		{"ends with the error of the callback", callbackFails},
		{"ends when the context ends", cancelled},
		{"takes no ids", nothing},
	}
	if o.Damage != nil {
		tests = append(tests, test{"never gives bytes that do not match their id", damaged})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.run(t, o) })
	}
}

// Plains are chunks of all kinds: one byte, the largest, incompressible, all
// zeros, and n small ones.
func Plains(n int) [][]byte {
	noise := make([]byte, chunk.MaxSize)
	for i := 0; i < len(noise); i += 32 {
		id := chunk.Sum(fmt.Append(nil, "noise", i))
		copy(noise[i:], id[:])
	}
	all := [][]byte{{0}, noise, make([]byte, chunk.MaxSize), bytes.Repeat([]byte("looming "), 40_000)}
	for i := range n {
		all = append(all, fmt.Appendf(nil, "chunk %d, %x", i, noise[i%1000:i%1000+i%97]))
	}
	return all
}

func ids(plains [][]byte) []chunk.ID {
	out := make([]chunk.ID, len(plains))
	for i, p := range plains {
		out[i] = chunk.Sum(p)
	}
	return out
}

func everyChunkOnce(t *testing.T, o Options) {
	plains := Plains(500)
	src := o.New(t, plains)
	fetchAll(t, src, plains)
	fetchAll(t, src, plains[100:200]) // and again, in part
}

// fetchAll fails the test unless Fetch gives exactly plains.
func fetchAll(t *testing.T, src chunk.Source, plains [][]byte) {
	t.Helper()
	calls := make([]int, len(plains))
	err := src.Fetch(t.Context(), ids(plains), func(i int, plain []byte, err error) error {
		if calls[i]++; err != nil || !bytes.Equal(plain, plains[i]) {
			t.Errorf("chunk %d: %d bytes, want %d: %v", i, len(plain), len(plains[i]), err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("Fetch: %v", err)
	}
	for i, n := range calls {
		if n != 1 {
			t.Errorf("chunk %d was given %d times", i, n)
		}
	}
}

func equalIDs(t *testing.T, o Options) {
	plains := Plains(3)
	src := o.New(t, plains)
	fetchAll(t, src, [][]byte{plains[4], plains[5], plains[4], plains[4]})
}

func missing(t *testing.T, o Options) {
	plains := Plains(40)
	src := o.New(t, plains[:20])
	got := map[int]bool{}
	err := src.Fetch(t.Context(), ids(plains), func(i int, plain []byte, err error) error {
		got[i] = true
		switch {
		case i < 20 && (err != nil || !bytes.Equal(plain, plains[i])):
			t.Errorf("chunk %d, which is there: %v", i, err)
		case i >= 20 && !errors.Is(err, chunk.ErrNotFound):
			t.Errorf("chunk %d, which is not there: %v", i, err)
		case i >= 20 && len(plain) > 0:
			t.Errorf("chunk %d: bytes with an error", i)
		}
		return nil
	})
	if err != nil || len(got) != len(plains) {
		t.Errorf("Fetch gave %d answers of %d: %v", len(got), len(plains), err)
	}
	if _, err := chunk.Get(t.Context(), src, chunk.Sum(plains[30])); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("Get of a chunk that is not there: %v", err)
	}
}

func oneAtATime(t *testing.T, o Options) {
	plains := Plains(200)
	src := o.New(t, plains)
	var inside sync.Mutex
	err := src.Fetch(t.Context(), ids(plains), func(int, []byte, error) error {
		if !inside.TryLock() {
			t.Error("two callbacks at once within one call")
			return nil
		}
		defer inside.Unlock()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func parallel(t *testing.T, o Options) {
	plains := Plains(60)
	src := o.New(t, plains)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() { fetchAll(t, src, plains[4+n:]) })
	}
	wg.Wait()
}

func callbackFails(t *testing.T, o Options) {
	plains := Plains(50)
	src := o.New(t, plains)
	stop := errors.New("enough")
	calls := 0
	err := src.Fetch(t.Context(), ids(plains), func(int, []byte, error) error {
		if calls++; calls == 3 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 3 {
		t.Errorf("after %d calls: %v, want the callback's error after 3", calls, err)
	}
	fetchAll(t, src, plains) // and the Source still works
}

func cancelled(t *testing.T, o Options) {
	plains := Plains(50)
	src := o.New(t, plains)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed := 0
	err := src.Fetch(ctx, ids(plains), func(_ int, _ []byte, err error) error {
		if err != nil {
			failed++
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) && failed == 0 {
		t.Errorf("with an ended context: %v", err)
	}
	fetchAll(t, src, plains)
}

func nothing(t *testing.T, o Options) {
	src := o.New(t, Plains(1))
	err := src.Fetch(t.Context(), nil, func(int, []byte, error) error {
		t.Error("called back for no id")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// damaged is invariant 3: bytes that do not match their id reach nobody.
func damaged(t *testing.T, o Options) {
	plains := Plains(30)
	src := o.New(t, plains)
	bad := map[int]bool{0: true, 1: true, 3: true, 10: true}
	for i := range bad {
		o.Damage(t, chunk.Sum(plains[i]))
	}
	err := src.Fetch(t.Context(), ids(plains), func(i int, plain []byte, err error) error {
		switch {
		case !bad[i] && (err != nil || !bytes.Equal(plain, plains[i])):
			t.Errorf("chunk %d, which is sound: %v", i, err)
		case bad[i] && (err == nil || len(plain) > 0):
			t.Errorf("chunk %d, which is damaged: %d bytes, %v", i, len(plain), err)
		case bad[i] && !errors.Is(err, chunk.ErrDamaged):
			t.Errorf("chunk %d, which is damaged: %v, want ErrDamaged", i, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
