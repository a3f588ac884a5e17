package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// table sums up figures under keys: tree 0 is the first, tree 1 all others.
type table struct{ rows map[string]*row }

type row struct {
	chunks, plain, stored [2]int64
	seconds               float64
}

func newTable() *table { return &table{rows: map[string]*row{}} }

func (t *table) at(key string) *row {
	r := t.rows[key]
	if r == nil {
		r = &row{}
		t.rows[key] = r
	}
	return r
}

func (r *row) add(tree, plain, stored int) {
	tree = min(tree, 1)
	r.chunks[tree]++
	r.plain[tree] += int64(plain)
	r.stored[tree] += int64(stored)
}

func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tchunks\tplain MB\tstored MB\tadded chunks\tadded plain MB\tadded MB\tCPU s\t")
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		r := t.rows[key]
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%d\t%.2f\t%.2f\t%.1f\t\n", key, r.chunks[0], mb(r.plain[0]), mb(r.stored[0]),
			r.chunks[1], mb(r.plain[1]), mb(r.stored[1]), r.seconds)
	}
	return w.Flush()
}

func mb(n int64) float64 { return float64(n) / 1e6 }
