package cvd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
)

// A snapshot's name is frozen, for people write it down; it leads back to the id, and sorts by time.
func TestNamesOfSnapshots(t *testing.T) {
	taken := time.Date(2026, 11, 26, 1, 40, 21, 999, time.FixedZone("east", 3600))
	s := Snapshot{ID: SnapshotID{0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f, 0x78, 0x90}, Taken: taken}
	if want := "2026-11-26T00-40-21Z-1a2b3c4d5e6f7890"; s.Name() != want {
		t.Errorf("it is called %s, want %s", s.Name(), want)
	}
	var names []string
	for _, later := range []time.Duration{0, time.Second, time.Hour, 1000 * time.Hour, 100_000 * time.Hour} {
		s.Taken = taken.Add(later)
		s.ID[0]--
		names = append(names, s.Name())
		if got := SnapshotRef(s.Name()); got != s.ID.String() {
			t.Errorf("%s leads to %s, want %s", s.Name(), got, s.ID)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("out of order: %q", names)
	}
	for _, other := range []string{
		"", "latest", "1a2b", s.ID.String(), s.Name()[1:], s.Name() + "0", s.Name()[:30], "2026-13-26T00-40-21Z-1a2b3c4d5e6f7890",
		"2026-11-26T00-40-21Z_1a2b3c4d5e6f7890", "2026-11-26T00-40-21Z-1a2b3c4d5e6f789g", "2026-11-26T00-40-21Z",
	} {
		if got := SnapshotRef(other); got != other {
			t.Errorf("%q is taken for a name of %q", other, got)
		}
	}
}

// Find finds each entry that ReadDir shows, and nothing else, however a directory is split.
func TestFind(t *testing.T) {
	for _, count := range []int{0, 1, 100, 20_000} {
		src := chunk.Map{}
		b := NewBuilder(src.Put)
		for i := range count {
			if err := b.Add(&Entry{Name: fmt.Sprintf("n%05d", 2*i), Type: File, Mode: 0o644, Mtime: Time{Sec: int64(i)}}); err != nil {
				t.Fatal(err)
			}
		}
		tree, _, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		nodes := map[chunk.ID]*Node{}
		get := func(ctx context.Context, id chunk.ID) (n *Node, err error) {
			if n = nodes[id]; n == nil {
				n, err = ReadNode(ctx, src, id)
				nodes[id] = n
			}
			return n, err
		}
		for i := -1; i <= 2*count; i += 1 + count/300 {
			name := fmt.Sprintf("n%05d", i)
			e, err := Find(t.Context(), get, tree, name)
			if there := i >= 0 && i < 2*count && i%2 == 0; err != nil || (e != nil) != there || there && e.Name != name {
				t.Fatalf("of %d entries, %s: %v (%v)", count, name, e, err)
			}
		}
		if len(nodes) < count/10_000 {
			t.Errorf("a directory of %d entries is not split: this test sees nothing", count)
		}
	}
}

// Find fails where a part of a directory is missing, or is not the part that it must be.
func TestFindRefusesOtherParts(t *testing.T) {
	src := chunk.Map{}
	b := NewBuilder(src.Put)
	for i := range 20_000 {
		if err := b.Add(&Entry{Name: fmt.Sprintf("n%05d", i), Type: File}); err != nil {
			t.Fatal(err)
		}
	}
	tree, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	top, err := ReadNode(t.Context(), src, tree)
	if err != nil || len(top.Children) < 3 {
		t.Fatal(err, len(top.Children))
	}
	swapped := func(ctx context.Context, id chunk.ID) (*Node, error) {
		if id == top.Children[1].ID {
			id = top.Children[2].ID
		}
		return ReadNode(ctx, src, id)
	}
	if _, err := Find(t.Context(), swapped, tree, top.Children[1].First); !errors.Is(err, ErrFormat) {
		t.Errorf("another part: %v", err)
	}
	delete(src, top.Children[1].ID)
	get := func(ctx context.Context, id chunk.ID) (*Node, error) { return ReadNode(ctx, src, id) }
	if _, err := Find(t.Context(), get, tree, top.Children[1].First); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("a part that is missing: %v", err)
	}
}
