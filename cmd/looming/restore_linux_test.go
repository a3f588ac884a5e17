package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// writeOut restores a directory of a tree into a new one, in which nothing else may be afterwards.
func writeOut(t *testing.T, tr *vfstest.Tree, src *vfstest.Source, name string) (dir string, w *restorer) {
	t.Helper()
	to := t.TempDir()
	w = &restorer{src: src, began: time.Now(), shown: (&app{err: io.Discard, out: io.Discard}).newProgress()}
	e := tr.Want[name].Entry
	mustDo(t, w.restore(t.Context(), &e, "/", to))
	names, err := os.ReadDir(to)
	mustDo(t, err)
	if len(names) != 1 || names[0].Name() != name {
		t.Errorf("there are %v", names)
	}
	return filepath.Join(to, name), w
}

// A hard-linked file whose bytes are damaged has no name afterwards, and each is reported (invariant 3).
func TestRestoreDamagedLinks(t *testing.T) {
	for _, far := range []bool{false, true} { // the other names are met in the same batch, and after it
		tr := vfstest.NewTree(t)
		body := vfstest.Body(50<<10, 3)
		e := tr.FileOf("", body, 1)
		tr.AddLinks(e, body, "d/a", "d/b", "d/z/c")
		if far {
			for i := range batchFiles {
				tr.AddFile(fmt.Sprintf("d/aa%03d", i), vfstest.Body(1000, byte(i)), 1<<20)
			}
		}
		tr.Finish()
		src := vfstest.NewSource(tr.Map)
		src.SetFor(e.Content.ID, vfstest.Damaged)
		dir, w := writeOut(t, tr, src, "d")
		for _, name := range []string{"a", "b", "z/c"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, far %v: %v", name, far, err)
			}
		}
		var failed []string
		for _, f := range w.doc.Failed {
			failed = append(failed, f.Path)
		}
		if fmt.Sprint(failed) != "[/a /b /z/c]" || exit.Code(w.failed) != exit.Integrity {
			t.Errorf("failed, far %v: %v, %v", far, failed, w.failed)
		}
	}
}

// Any number of hard-linked files is restored with few descriptors, and each is one file under all its names.
func TestRestoreManyLinks(t *testing.T) {
	const groups = 700
	tr := vfstest.NewTree(t)
	body := vfstest.Body(2000, 1)
	for i := range groups {
		small := []byte(fmt.Sprint(i))
		tr.AddLinks(tr.File("", small), small, fmt.Sprintf("d/s%03d", i), fmt.Sprintf("d/t%03d", i))
		tr.AddLinks(tr.File("", body), body, fmt.Sprintf("d/a%03d", i), fmt.Sprintf("d/b%03d", i), fmt.Sprintf("d/z/%03d", i))
	}
	tr.Finish()
	var was unix.Rlimit
	mustDo(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	now := was
	now.Cur = batchFiles + 100
	mustDo(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &now))
	defer func() { mustDo(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }()
	dir, w := writeOut(t, tr, vfstest.NewSource(tr.Map), "d")
	if len(w.doc.Failed) != 0 {
		t.Fatalf("%d failed: %v", len(w.doc.Failed), w.doc.Failed[0])
	}
	for i := range groups {
		oneFile(t, []byte(fmt.Sprint(i)), filepath.Join(dir, fmt.Sprintf("s%03d", i)), filepath.Join(dir, fmt.Sprintf("t%03d", i)))
		oneFile(t, body, filepath.Join(dir, fmt.Sprintf("a%03d", i)), filepath.Join(dir, fmt.Sprintf("b%03d", i)), filepath.Join(dir, fmt.Sprintf("z/%03d", i)))
	}
	for _, name := range []string{"d", "d/z"} {
		info, err := os.Stat(filepath.Join(filepath.Dir(dir), name))
		mustDo(t, err)
		if want := tr.Want[name].Mtime.Std(); !info.ModTime().Equal(want) {
			t.Errorf("%s is of %v, not %v", name, info.ModTime(), want)
		}
	}
}

// oneFile fails unless the names are all that a file has, and it holds want.
func oneFile(t *testing.T, want []byte, names ...string) {
	t.Helper()
	var first unix.Stat_t
	for i, name := range names {
		var st unix.Stat_t
		mustDo(t, unix.Lstat(name, &st))
		if i == 0 {
			first = st
		}
		if st.Ino != first.Ino || int(st.Nlink) != len(names) {
			t.Errorf("%s is inode %d with %d names, not %d with %d", name, st.Ino, st.Nlink, first.Ino, len(names))
		}
	}
	if b, err := os.ReadFile(names[0]); err != nil || !bytes.Equal(b, want) {
		t.Errorf("%s: %d bytes, %v", names[0], len(b), err)
	}
}

// A file gets as many names as the file system allows, although one is taken while they are made.
func TestRestoreMostLinks(t *testing.T) {
	dir := t.TempDir()
	mustDo(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	most := 1
	for err := error(nil); err == nil && most < 1<<17; most++ {
		err = os.Link(filepath.Join(dir, "f"), filepath.Join(dir, fmt.Sprint(most)))
	}
	most--
	tr := vfstest.NewTree(t)
	var names []string
	for i := range most {
		names = append(names, fmt.Sprintf("d/%06d", i))
	}
	tr.AddLinks(tr.File("", []byte("many")), []byte("many"), names...)
	tr.Finish()
	_, w := writeOut(t, tr, vfstest.NewSource(tr.Map), "d")
	if len(w.doc.Failed) != 0 {
		t.Errorf("of %d names %d failed: %v", most, len(w.doc.Failed), w.doc.Failed[0])
	}
}
