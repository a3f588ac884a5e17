package chunk_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

// A run of zeros is cut into chunks that nobody has to be asked for, but the last.
func TestZeros(t *testing.T) {
	for _, cut := range []chunk.Cut{chunk.Coarse, chunk.Fine, chunk.Finest} {
		parts := split(t, bytes.NewReader(make([]byte, 3*cut.Max+5)), cut)
		ids := []chunk.ID{chunk.Sum([]byte("something else"))}
		for _, p := range parts {
			ids = append(ids, chunk.Sum(p))
		}
		had := 0
		err := chunk.Zeros{}.Fetch(t.Context(), ids, func(i int, plain []byte, err error) error {
			switch {
			case i == 0 && !errors.Is(err, chunk.ErrNotFound):
				t.Errorf("what is no run of zeros: %v", err)
			case i > 0 && err == nil:
				if had++; !bytes.Equal(plain, parts[i-1]) {
					t.Errorf("%v: chunk %d differs", cut, i)
				}
			}
			return nil
		})
		if err != nil || had < len(parts)-1 {
			t.Errorf("%v: %v, %d of %d chunks", cut, err, had, len(parts))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (chunk.Zeros{}).Fetch(ctx, make([]chunk.ID, 2), func(int, []byte, error) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
