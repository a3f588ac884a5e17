package chunk_test

import (
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/chunk/chunktest"
)

func TestMapIsASource(t *testing.T) {
	chunktest.Run(t, chunktest.Options{New: newMap})
}

func newMap(t *testing.T, plains [][]byte) chunk.Source {
	m := chunk.Map{}
	for _, p := range plains {
		if id, err := m.Put(p); err != nil || id != chunk.Sum(p) {
			t.Fatal(id, err)
		}
	}
	return m
}

func TestGetGivesItsOwnCopy(t *testing.T) {
	m := chunk.Map{}
	id, _ := m.Put([]byte("bytes"))
	a, err := chunk.Get(t.Context(), m, id)
	if err != nil {
		t.Fatal(err)
	}
	a[0] = 'X'
	if b, _ := chunk.Get(t.Context(), m, id); string(b) != "bytes" {
		t.Errorf("a second Get gave %q after the first's bytes were changed", b)
	}
}

func TestGetTellsEmptyFromMissing(t *testing.T) {
	m := chunk.Map{}
	id, _ := m.Put(nil)
	if b, err := chunk.Get(t.Context(), m, id); err != nil || b == nil || len(b) != 0 {
		t.Errorf("an empty chunk: %v, %v", b, err)
	}
}
