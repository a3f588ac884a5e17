package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/vfs/chunk"
)

// split calls fn with every chunk of a file as FORMAT.md cuts it.
func split(f file, fn func(plain []byte)) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	b := bufio.NewReaderSize(r, chunk.HeadMax)
	head, _ := b.Peek(chunk.HeadMax) // the Splitter meets the error again
	s := chunk.NewSplitter(b, chunk.CutFor(filepath.Base(f.path), head), splitBuffer)
	for {
		plain, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fn(plain)
	}
}

var splitBuffer = make([]byte, 2*chunk.MaxSize)

// levels encodes every chunk at every level.
func levels(c *corpus, t *table) error {
	coders := []*coder{
		newCoder("1 fastest, 64 KiB blocks, no literals", 64<<10, fastest),
		newCoder("2 fastest, 64 KiB blocks", 64<<10, fastest, lits),
		newCoder("3 fastest, 32 KiB blocks", 32<<10, fastest, lits),
		newCoder("4 default, 32 KiB blocks", 32<<10, normal, lits),
		newCoder("5 better, 32 KiB blocks", 32<<10, better),
		asStored(),
	}
	for _, f := range c.files {
		err := split(f, func(plain []byte) {
			id := chunk.Sum(plain)
			for _, x := range coders {
				if _, again := x.sizes[id]; again {
					continue
				}
				n := x.size(id, plain)
				for _, key := range []string{f.class + " " + x.name, "all " + x.name, share(plain) + " " + x.name} {
					t.at(key).add(f.tree, len(plain), n)
					t.at(key).seconds += x.last
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// share says how much of plain is printable: of 256 bytes spread over it, in eighths.
func share(plain []byte) string {
	step := max(1, len(plain)/256)
	n, text := 0, 0
	for i := 0; i < len(plain); i += step {
		n++
		if b := plain[i]; b >= ' ' && b < 0x7f || b == '\n' || b == '\t' || b == '\r' {
			text++
		}
	}
	return fmt.Sprintf("printable %d/8", text*8/n)
}
