package main

import (
	"fmt"
	"os"

	"github.com/looming-project/looming/vfs/chunk"
)

// variant is one way to cut; a zero Cut is the whole file.
type variant struct {
	name string
	cut  chunk.Cut
	seen map[chunk.ID]bool
}

func variants() []*variant {
	vs := []*variant{{name: "whole", seen: map[chunk.ID]bool{}}}
	for _, kib := range []int{16, 32, 64, 128, 256, 512} {
		cut := chunk.Cut{Min: kib << 8, Avg: kib << 10, Max: min(kib<<12, chunk.MaxSize)}
		vs = append(vs, &variant{fmt.Sprintf("%03dK", kib), cut, map[chunk.ID]bool{}})
	}
	return vs
}

// bands are the upper ends of the sizes that are told apart, in KiB.
var bands = []int64{32, 64, 128, 256}

func band(size int64) string {
	for _, kib := range bands {
		if size <= kib<<10 {
			return fmt.Sprintf("<=%03dK", kib)
		}
	}
	return "larger"
}

// cuts cuts every file in every way. Files of up to bands' last are tried whole too.
func cuts(c *corpus, t *table) error {
	x := asStored()
	vs := variants()
	for _, f := range c.files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		for _, v := range vs {
			if v.cut.Avg == 0 && len(b) > chunk.MaxSize {
				continue
			}
			v.store(f, b, x, t)
		}
	}
	return nil
}

func (v *variant) store(f file, b []byte, x *coder, t *table) {
	key := f.class + " " + band(f.size) + " " + v.name
	for len(b) > 0 {
		n := len(b)
		if v.cut.Avg > 0 {
			n = v.cut.Length(b)
		}
		plain := b[:n]
		b = b[n:]
		if id := chunk.Sum(plain); !v.seen[id] {
			v.seen[id] = true
			t.at(key).add(f.tree, n, x.size(id, plain))
		}
	}
}
