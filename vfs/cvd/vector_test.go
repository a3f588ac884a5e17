package cvd

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

var write = flag.Bool("write", false, "add vectors that are missing")

// unhex reads hexadecimal text with spaces, line ends, and comments from # on.
func unhex(t interface{ Fatal(...any) }, text string) []byte {
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectors are what version 1 of the format encodes, by name. What they encode
// to is in testdata/vectors and never changes.
func vectors(t *testing.T) map[string][]byte {
	v := map[string][]byte{
		"node-empty":      leafOf(),
		"node-everything": leafOf(everything()...),
	}
	for _, e := range everything() {
		v["node-"+strings.NewReplacer(" ", "-", ",", "", "\xff\xfe", "bytes").Replace(e.Name)] = leafOf(e)
		if e.Type == File && e.Windows == nil {
			v["content-"+strings.TrimPrefix(strings.ReplaceAll(e.Name, " ", "-"), "file,-")] = EncodeContent(e.Size, &e.Content)
		}
	}
	src := chunk.Map{}
	id, _ := build(t, src, upTo(3))
	v["node-index"] = src[id]
	top := Entry{Type: Dir, Mode: 0o755, Mtime: Time{1700000000, 0}, Tree: chunk.Sum(leafOf()), Sums: Sums{}}
	v["root-empty"], _ = EncodeRoot(&top)
	top.Xattrs = []Xattr{{"system.posix_acl_access", []byte{2, 0, 0, 0}}}
	top.UID, top.GID, top.Sums = 1<<32-1, 1000, Sums{203_188, 6_599, 3_929 << 20}
	v["root-full"], _ = EncodeRoot(&top)
	v["list-one"] = EncodeList([]Ref{{chunk.Sum(nil), 1}})
	v["list-three"] = EncodeList([]Ref{{chunk.Sum(nil), 1}, {chunk.Sum(nil), chunk.MaxSize}, {chunk.Sum([]byte("x")), 300_000}})
	return v
}

// Vectors stay for ever: what they say is what is stored on servers.
func TestVectors(t *testing.T) {
	want := vectors(t)
	for name, plain := range want {
		path := filepath.Join("testdata/vectors", name+".hex")
		if _, err := os.Stat(path); *write && err != nil {
			writeVector(t, path, plain)
		}
	}
	names, err := filepath.Glob("testdata/vectors/*.hex")
	if err != nil || len(names) < 28 {
		t.Fatalf("%d vectors: %v", len(names), err)
	}
	for _, path := range names {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".hex")
		plain := unhex(t, string(text))
		if made, ok := want[name]; ok && !bytes.Equal(made, plain) {
			t.Errorf("%s is encoded otherwise now:\n%x, was\n%x", name, made, plain)
		}
		delete(want, name)
		checkVector(t, name, string(text), plain)
	}
	for name := range want {
		t.Errorf("%s has no vector: run the test with -write", name)
	}
}

// checkVector checks the id and the frame in a vector's comments, and that it decodes.
func checkVector(t *testing.T, name, text string, plain []byte) {
	comments := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": "); ok {
			comments[key] = strings.TrimSpace(value)
		}
	}
	id, err := chunk.ParseID(comments["id"])
	if err != nil || id != chunk.Sum(plain) {
		t.Errorf("%s: id is %s, not %q", name, chunk.Sum(plain), comments["id"])
	}
	again, err := chunk.Decode(nil, unhex(t, comments["frame"]), id)
	if err != nil || !bytes.Equal(again, plain) {
		t.Errorf("%s: frame: %v", name, err)
	}
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "node":
		_, err = DecodeNode(plain)
	case "root":
		_, err = DecodeRoot(plain)
	case "list":
		_, err = DecodeList(plain)
	case "content":
		_, _, err = DecodeContent(plain)
	default:
		err = fmt.Errorf("unknown kind %q", kind)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func writeVector(t *testing.T, path string, plain []byte) {
	var b strings.Builder
	fmt.Fprintf(&b, "# id: %s\n# frame: %x\n", chunk.Sum(plain), chunk.Encode(nil, plain))
	for row := range slices.Chunk(plain, 32) {
		fmt.Fprintf(&b, "%x\n", row)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
