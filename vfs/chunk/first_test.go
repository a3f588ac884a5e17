package chunk_test

import (
	"context"
	"errors"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/chunk/chunktest"
)

func TestFirstIsASource(t *testing.T) {
	for name, in := range map[string]func(i int) (near, far bool){
		"each in one": func(i int) (near, far bool) { return i%2 == 0, i%2 != 0 },
		"near":        func(int) (near, far bool) { return true, false },
		"far":         func(int) (near, far bool) { return false, true },
		"both":        func(int) (near, far bool) { return true, true },
	} {
		t.Run(name, func(t *testing.T) {
			chunktest.Run(t, chunktest.Options{New: func(t *testing.T, plains [][]byte) chunk.Source {
				near, far := [][]byte{}, [][]byte{}
				for i, p := range plains {
					n, f := in(i)
					if n {
						near = append(near, p)
					}
					if f {
						far = append(far, p)
					}
				}
				return chunk.First(newMap(t, near), newMap(t, far))
			}})
		})
	}
}

// What near does not give, for whatever reason, is asked for in one call.
func TestFirstAsksOnce(t *testing.T) {
	far := &calls{Source: newMap(t, [][]byte{{1}, {2}, {3}})}
	src := chunk.First(broken{}, far)
	got := 0
	err := src.Fetch(t.Context(), []chunk.ID{chunk.Sum([]byte{1}), chunk.Sum([]byte{2}), chunk.Sum([]byte{3})}, func(i int, plain []byte, err error) error {
		if got++; err != nil || plain[0] != byte(i+1) {
			t.Errorf("chunk %d: %v, %v", i, plain, err)
		}
		return nil
	})
	if err != nil || got != 3 || far.n != 1 {
		t.Errorf("%d answers in %d calls: %v", got, far.n, err)
	}
	if chunk.First(nil, far) != chunk.Source(far) {
		t.Error("a Source before which is none is itself")
	}
}

type broken struct{}

func (broken) Fetch(_ context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	if err := got(0, nil, chunk.ErrDamaged); err != nil {
		return err
	}
	return errors.New("broken")
}

type calls struct {
	chunk.Source
	n int
}

func (c *calls) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	c.n++
	return c.Source.Fetch(ctx, ids, got)
}
