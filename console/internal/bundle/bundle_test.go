package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The committed build is what the sources build to, file by file, no more and no less.
func TestCommittedBuild(t *testing.T) {
	built, err := Build("../../web")
	if err != nil {
		t.Fatal(err)
	}
	if len(built["app.js"]) == 0 || len(built["style.css"]) == 0 || len(built["index.html"]) == 0 {
		t.Fatal("the build lacks the page")
	}
	const dist = "../../web/dist"
	for name, b := range built {
		have, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil || !bytes.Equal(have, b) {
			t.Errorf("%s differs from its sources (%v): run go generate ./console and commit web/dist", name, err)
		}
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := built[e.Name()]; !ok {
			t.Errorf("%s is in web/dist, but nothing builds it", e.Name())
		}
	}
}

// A mistake in a source is reported with its place, and nothing is built.
func TestBrokenSource(t *testing.T) {
	web := t.TempDir()
	if err := os.CopyFS(web, os.DirFS("../../web")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(web, "src", "main.tsx"), []byte("const = 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Build(web)
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("src/main.tsx:1:6")) {
		t.Errorf("a broken source: %v", err)
	}
}
