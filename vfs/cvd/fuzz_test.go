package cvd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

// seeds are the committed vectors of a kind, asserted to be some.
func seeds(f *testing.F, kind string) {
	names, err := filepath.Glob(filepath.Join("testdata/vectors", kind+"-*.hex"))
	if err != nil || len(names) == 0 {
		f.Fatalf("no vectors of %s: %v", kind, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(unhex(f, string(text)))
	}
}

// canonical fails the fuzzer unless what decoded encodes to what it came from.
func canonical(t *testing.T, plain []byte, err error, encode func() []byte) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrFormat) {
			t.Fatalf("refused with %v", err)
		}
		return
	}
	if again := encode(); !bytes.Equal(again, plain) {
		t.Fatalf("%x decodes, but encodes to %x", plain, again)
	}
}

func FuzzNode(f *testing.F) {
	seeds(f, "node")
	f.Fuzz(func(t *testing.T, plain []byte) {
		n, err := DecodeNode(plain)
		canonical(t, plain, err, func() []byte { return encodeNode(n) })
		if err != nil || n.Level > 0 || len(n.Entries) == 0 {
			return
		}
		// A builder makes the same node of the entries, and none more.
		src := chunk.Map{}
		id, sums := build(t, src, n.Entries)
		if id != chunk.Sum(plain) || len(src) != 1 || sums != n.sums() {
			t.Fatalf("a builder makes %d nodes, %s with %+v", len(src), id, sums)
		}
		n.Refs(func(chunk.ID) {}, func(Ref) {}, func(Ref) {})
	})
}

func FuzzRoot(f *testing.F) {
	seeds(f, "root")
	f.Fuzz(func(t *testing.T, plain []byte) {
		top, err := DecodeRoot(plain)
		canonical(t, plain, err, func() []byte {
			again, err := EncodeRoot(top)
			if err != nil {
				t.Fatal(err)
			}
			return again
		})
	})
}

func FuzzList(f *testing.F) {
	seeds(f, "list")
	f.Fuzz(func(t *testing.T, plain []byte) {
		refs, err := DecodeList(plain)
		canonical(t, plain, err, func() []byte { return EncodeList(refs) })
	})
}

func FuzzContent(f *testing.F) {
	seeds(f, "content")
	f.Fuzz(func(t *testing.T, plain []byte) {
		size, c, err := DecodeContent(plain)
		canonical(t, plain, err, func() []byte { return EncodeContent(size, &c) })
	})
}
