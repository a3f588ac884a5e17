package vfstest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// Feature is what a host may lack.
type Feature string

// The features.
const (
	Fallocate   Feature = "fallocate"
	SeekData    Feature = "lseek to data and holes"
	RenameFlags Feature = "the flags of renameat2"
	// Mmap is mapping of files into memory, Signals that a waiting reader can be killed: the
	// core has neither.
	Mmap    Feature = "mmap"
	Signals Feature = "killing a reader that waits"
	// OneTime is setting the modification time and leaving the access time.
	OneTime Feature = "setting one time alone"
	// Kernel is that the kernel checks rights and keeps them: modes cleared by writes, umask.
	Kernel Feature = "the kernel's checks"
)

// Host is what the suite runs on.
type Host struct {
	// Show makes f visible at dir, an empty directory, and returns it with what hides it again.
	Show func(t *testing.T, f *vfs.FS, dir string) (System, func())
	// Lacks says why a feature is not there.
	Lacks map[Feature]string
}

// Run runs the suite.
func Run(t *testing.T, h Host) {
	if os.Geteuid() != 0 {
		t.Fatal("the suite makes devices and owners of all kinds: run it as root")
	}
	unix.Umask(0)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range c.needs {
				if why, lacks := h.Lacks[f]; lacks {
					t.Skipf("%s: %s", f, why)
				}
			}
			c.run(&World{T: t, Host: h, Deadline: 2 * time.Second})
		})
	}
}

var cases = []struct {
	name  string
	run   func(*World)
	needs []Feature
}{
	{"Everything", everything, nil},
	{"HalfHydrated", halfHydrated, nil},
	{"SmallChanged", smallChanged, nil},
	{"HugeAndSparse", hugeAndSparse, nil},
	{"ReadingAll", readingAll, nil},
	{"ManyEntries", manyEntries, nil},
	{"BeyondPathMax", beyondPathMax, nil},
	{"HardLinks", hardLinks, nil},
	{"Xattrs", xattrs, nil},
	{"Attributes", attributes, nil},
	{"CreateWriteAppend", createWriteAppend, nil},
	{"Truncate", truncate, nil},
	{"PartialOverwrite", partialOverwrite, nil},
	{"Rename", rename, nil},
	{"RenameFlags", renameFlags, []Feature{RenameFlags}},
	{"UnlinkWhileOpen", unlinkWhileOpen, nil},
	{"RmdirNotEmpty", rmdirNotEmpty, nil},
	{"Mmap", mmap, []Feature{Mmap}},
	{"MmapHeld", mmapHeld, []Feature{Mmap}},
	{"Fallocate", fallocate, []Feature{Fallocate}},
	{"SeekData", seekData, []Feature{SeekData}},
	{"Statfs", statfs, nil},
	{"ProgramsSeeNoHoles", noHoles, nil},
	{"SetuidAndUmask", setuidAndUmask, []Feature{Kernel}},
	{"Model", model, nil},
	{"Concurrent", concurrent, nil},
	{"ConcurrentNames", concurrentNames, nil},
	{"DamagedAndLost", damagedAndLost, nil},
	{"CutAndBack", cutAndBack, nil},
	{"DeadSource", deadSource, nil},
	{"SlowSource", slowSource, nil},
	{"KilledReader", killedReader, []Feature{Signals}},
	{"Past", past, nil},
	{"PastNumbers", pastNumbers, nil},
	{"PastReadOnly", pastReadOnly, nil},
	{"PastHidden", pastHidden, nil},
	{"PastConcurrent", pastConcurrent, nil},
	{"PastOffline", pastOffline, nil},
	{"DisturbedReader", disturbedReader, []Feature{Signals}},
}

// World is one test: a desktop, open and shown.
type World struct {
	*testing.T
	Host     Host
	Deadline time.Duration

	Tree *Tree
	// Source gives chunks to whoever waits, Bulk to the background.
	Source, Bulk *Source
	// Past is the desktop's snapshots, nil if its history is not shown.
	Past *Past
	FS   *vfs.FS
	Sys  System

	root cvd.Root
	dir  string
	hide func()
	// listed says that all directories are native, native that the state directory is gone.
	listed, native bool
}

// Begin opens the desktop of a tree over a new backing directory.
func (w *World) Begin(tr *Tree) {
	w.Helper()
	w.Tree, w.root, w.dir = tr, tr.Finish(), w.TempDir()
	w.Source, w.Bulk = NewSource(tr.Map), NewSource(tr.Map)
	for _, d := range []string{w.dir, w.Mount()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			w.Fatal(err)
		}
	}
	w.Cleanup(func() {
		w.End()
	})
	w.Open()
}

// Mount is where the desktop is mounted, Backing the directory beneath.
func (w *World) Mount() string   { return filepath.Join(w.dir, "mnt") }
func (w *World) Backing() string { return filepath.Join(w.dir, "backing") }

// Open opens the desktop once more and shows it.
func (w *World) Open() {
	w.Helper()
	o := vfs.Options{
		Backing: w.Backing(), Side: filepath.Join(w.dir, "side"),
		Demand: w.Source, Bulk: w.Bulk, Root: w.root, Deadline: w.Deadline,
	}
	if w.Past != nil {
		o.History = w.Past
	}
	f, err := vfs.Open(context.Background(), o)
	if err != nil {
		w.Fatal(err)
	}
	w.FS = f
	w.Sys, w.hide = w.Host.Show(w.T, f, w.Mount())
}

// End hides and closes the desktop, if it is open.
func (w *World) End() {
	w.Helper()
	if w.FS == nil {
		return
	}
	w.hide()
	if err := w.FS.Close(); err != nil {
		w.Errorf("closing: %v", err)
	}
	w.FS = nil
}

// Reopen closes and opens the desktop.
func (w *World) Reopen() {
	w.Helper()
	w.End()
	w.Open()
}

// FillAll makes everything native.
func (w *World) FillAll() {
	w.Helper()
	ctx := context.Background()
	if err := w.FS.ListAll(ctx, func() {}); err != nil {
		w.Fatal("listing all:", err)
	}
	w.listed = true
	w.fill(w.Tree.Files())
	rest, err := w.FS.Remaining(ctx)
	if err != nil || len(rest) > 0 {
		w.Errorf("remaining: %q, %v", rest, err)
	}
}

func (w *World) fill(paths []string) {
	w.Helper()
	if err := errors.Join(w.FS.Fill(context.Background(), paths)...); err != nil {
		w.Error("filling:", err)
	}
	if err := w.FS.Settle(); err != nil {
		w.Error("settling:", err)
	}
}

func (w *World) fillRange(p string, off, n uint64) {
	w.Helper()
	if _, err := w.FS.FillRange(context.Background(), p, off, n, false); err != nil {
		w.Errorf("filling %s: %v", brief(p), err)
	}
}

// Finish makes everything native, and compares the backing directory itself,
// once the state directory is gone as it is after a pivot.
func (w *World) Finish() {
	w.Helper()
	w.FillAll()
	w.Check(w.Sys)
	w.End()
	w.must(os.RemoveAll(filepath.Join(w.dir, "side")))
	w.native = true
	w.Check(Dir(w.Backing()))
}

// must fails the test if a step failed.
func (w *World) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// want checks that an error is errno, nil for none.
func (w *World) want(what string, err, errno error) {
	w.Helper()
	if !errors.Is(err, errno) {
		w.Errorf("%s: %v, want %v", what, err, errno)
	}
}
