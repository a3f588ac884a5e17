package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const memory = atRecord + 1<<20

// What was written down is what the next process reads, whenever the one before it dies.
func TestTakenOver(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	mem := make([]byte, memory)
	l := New(mem)
	nodes, at := map[uint64]Node{}, map[uint64]Place{}
	pick := func() uint64 { return slices.Sorted(maps.Keys(nodes))[r.IntN(len(nodes))] }
	name := func() string { return strings.Repeat("n", 1+r.IntN(255)) }
	for i := range uint64(3000) {
		switch op := r.IntN(6); {
		case op < 2 || len(nodes) == 0:
			n := Node{ID: 2 + i, Ino: r.Uint64(), Parent: 1, Type: 2, Name: name()}
			nodes[n.ID], at[n.ID] = n, l.AddNode(&n)
		case op == 2:
			id := pick()
			n := nodes[id]
			n.Parent, n.Name = i, name()
			nodes[id], at[id] = n, l.Move(at[id], n.Parent, n.Name)
		case op == 3:
			id := pick()
			n := nodes[id]
			n.Lookups++
			n.Nameless = !n.Nameless
			nodes[id] = n
			l.Known(at[id], 1)
			l.SetNameless(at[id], n.Nameless)
		case op == 4:
			id := pick()
			l.Remove(at[id])
			delete(nodes, id)
		default:
			same(t, bytes.Clone(mem), nodes)
		}
	}
	if l.LastNode() < 2000 {
		t.Errorf("the last number is %d", l.LastNode())
	}
}

func same(t *testing.T, mem []byte, want map[uint64]Node) {
	t.Helper()
	l, err := Open(mem)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]Node{}
	l.Nodes(func(_ Place, n Node) { got[n.ID] = n })
	if !maps.Equal(got, want) {
		t.Fatalf("%d nodes, want %d", len(got), len(want))
	}
}

// A process that dies while a node moves leaves two records: the later one counts.
func TestDeathInMove(t *testing.T) {
	mem := make([]byte, memory)
	l := New(mem)
	p := l.AddNode(&Node{ID: 7, Name: "old"})
	before := bytes.Clone(l.record(p, 1))
	l.Move(p, 1, "new")
	copy(l.record(p, 1), before) // the old one is still there
	same(t, mem, map[uint64]Node{7: {ID: 7, Parent: 1, Name: "new"}})
}

func TestHandlesAndChanges(t *testing.T) {
	mem := make([]byte, memory)
	l := New(mem)
	h := []Handle{{ID: 3, Node: 9, Flags: 2, Passed: true, Backing: 5, Unique: 100}, {ID: 4, Node: 1, Dir: true, Unique: 102}}
	for i := range h {
		l.AddHandle(&h[i])
	}
	c := Change{Kind: Moving, Unique: 104, From: 1, To: 2, Name: "a", ToName: strings.Repeat("b", 255), Ino: 11, ToIno: 12}
	l.Begin(&c)
	l.SetNote([]byte("hello"))
	l, err := Open(mem)
	if err != nil {
		t.Fatal(err)
	}
	var got []Handle
	l.Handles(func(_ Place, h Handle) { got = append(got, h) })
	if !slices.Equal(got, h) || string(l.Note()) != "hello" || l.LastHandle() != 4 {
		t.Errorf("%+v, %q, %d", got, l.Note(), l.LastHandle())
	}
	l.Changes(func(s Slot, got Change) {
		if got != c {
			t.Errorf("%+v", got)
		}
		l.End(s, true)
	})
	for i := range uint64(changes - 1) { // the ring does not reach it yet
		l.Begin(&Change{Kind: Making, Unique: 106 + 2*i, Name: fmt.Sprint(i)})
	}
	if got, ok := l.Find(104); !ok || !got.Done {
		t.Errorf("%+v, %v", got, ok)
	}
}

// Whoever finds what it does not know, or half a ledger, begins anew.
func TestForeign(t *testing.T) {
	full := make([]byte, memory)
	l := New(full)
	for i := range uint64(1 << 15) {
		l.AddNode(&Node{ID: i})
	}
	for what, mem := range map[string][]byte{"zeros": make([]byte, memory), "nothing": {}, "full": full} {
		if _, err := Open(mem); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var none *Ledger
	none.Remove(none.Move(none.AddNode(&Node{}), 1, "x"))
	none.End(none.Begin(&Change{}), true)
}
