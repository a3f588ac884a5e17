package local

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/chunk/chunktest"
	"github.com/looming-project/looming/vfs/cvd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// disk is a tree with chunks in its files, and an index of it.
type disk struct {
	root, dir string
	x         *Index
	where     map[chunk.ID]string
}

func newDisk(t testing.TB) *disk {
	d := &disk{root: t.TempDir(), dir: t.TempDir(), where: map[chunk.ID]string{}}
	d.open(t)
	return d
}

func (d *disk) open(t testing.TB) {
	t.Helper()
	var err error
	d.x, err = Open(d.dir, d.root)
	must(t, err)
	x := d.x
	t.Cleanup(func() { must(t, x.Close()) })
}

func (d *disk) path(name string) string { return filepath.Join(d.root, name) }

// write makes a file of the chunks and tells b.
func (d *disk) write(t testing.TB, b *Builder, name string, plains ...[]byte) {
	t.Helper()
	all := bytes.Join(plains, nil)
	refs := make([]cvd.Ref, len(plains))
	for i, p := range plains {
		refs[i] = cvd.Ref{ID: chunk.Sum(p), Size: uint64(len(p))}
		d.where[refs[i].ID] = name
	}
	must(t, os.MkdirAll(filepath.Dir(d.path(name)), 0o755))
	must(t, os.WriteFile(d.path(name), all, 0o644))
	must(t, b.File(name, uint64(len(all)), chunk.Sum(all), refs))
}

// put puts every chunk into a file of its own, every fifth into the heap, and the last two into one file.
func (d *disk) put(t testing.TB, b *Builder, plains [][]byte) {
	t.Helper()
	last := max(len(plains)-2, 0)
	for i, p := range plains[:last] {
		if i%5 == 2 {
			must(t, b.Chunk(chunk.Sum(p), p))
			continue
		}
		d.write(t, b, fmt.Sprintf("d%d/f%d", i%7, i), p)
	}
	d.write(t, b, "tail", plains[last:]...)
}

// built is a Source of an index that is whole.
func built(t *testing.T, d *disk, plains [][]byte) chunk.Source {
	t.Helper()
	must(t, d.x.Build(t.Context(), func(_ context.Context, b *Builder) error {
		d.put(t, b, plains)
		return nil
	}))
	return NewSource(d.x)
}

// spoil changes a byte of a chunk, and leaves its file the times that it had.
func spoil(t *testing.T, d *disk, id chunk.ID) {
	t.Helper()
	path := d.path(d.where[id])
	info, err := os.Stat(path)
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(path, b, 0o644))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

func TestSourceOfAnIndex(t *testing.T) {
	var d *disk
	chunktest.Run(t, chunktest.Options{
		New: func(t *testing.T, plains [][]byte) chunk.Source {
			d = newDisk(t)
			return built(t, d, plains)
		},
		Damage: func(t *testing.T, id chunk.ID) { spoil(t, d, id) },
	})
}

// What is added to an index is found before it is whole.
func TestSourceOfAnIndexInTheMaking(t *testing.T) {
	var d *disk
	chunktest.Run(t, chunktest.Options{
		New: func(t *testing.T, plains [][]byte) chunk.Source {
			d = newDisk(t)
			making(t, d.x, func(b *Builder) { d.put(t, b, plains) })
			return NewSource(d.x)
		},
		Damage: func(t *testing.T, id chunk.ID) { spoil(t, d, id) },
	})
}

// making begins an index that is not whole before the test ends.
func making(t *testing.T, x *Index, add func(*Builder)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	added, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- x.Build(ctx, func(ctx context.Context, b *Builder) error {
			add(b)
			close(added)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-added
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A file that changed under the index is no answer: the next source is asked, and only for what is wrong
// (invariants 3 and 4).
func TestChangedFilesAreFetched(t *testing.T) {
	d, plains := newDisk(t), chunktest.Plains(40)
	near := built(t, d, plains)
	far := chunk.Map{}
	for _, p := range plains {
		_, _ = far.Put(p)
	}
	for _, i := range []int{0, 1, 10} {
		spoil(t, d, chunk.Sum(plains[i]))
	}
	asked := 0
	src := chunk.First(near, counted{far, &asked})
	var all []chunk.ID
	for _, p := range plains {
		all = append(all, chunk.Sum(p))
	}
	must(t, src.Fetch(t.Context(), all, func(i int, plain []byte, err error) error {
		if err != nil || !bytes.Equal(plain, plains[i]) {
			t.Errorf("chunk %d: %v", i, err)
		}
		return nil
	}))
	if asked != 3 {
		t.Errorf("%d chunks were asked for elsewhere, 3 had changed", asked)
	}
}

type counted struct {
	chunk.Source
	asked *int
}

func (c counted) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	*c.asked += len(ids)
	return c.Source.Fetch(ctx, ids, got)
}

// An index is found again by the next process; a whole file is opened by its id.
func TestIndexIsKept(t *testing.T) {
	d, plains := newDisk(t), chunktest.Plains(40)
	built(t, d, plains)
	d.open(t)
	for i, p := range plains {
		if got, err := chunk.Get(t.Context(), NewSource(d.x), chunk.Sum(p)); err != nil || !bytes.Equal(got, p) {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	f, err := NewSource(d.x).Whole(chunk.Sum(plains[1]), chunk.MaxSize)
	must(t, err)
	must(t, f.Close())
	if _, err := NewSource(d.x).Whole(chunk.Sum(plains[1]), 5); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("a file of another size: %v", err)
	}
}

// While one process makes the index, another uses the old one and is told.
func TestOneProcessBuilds(t *testing.T) {
	d, plains := newDisk(t), chunktest.Plains(10)
	src := built(t, d, plains)
	making(t, d.x, func(*Builder) {})
	other, err := Open(d.dir, d.root)
	must(t, err)
	defer other.Close()
	err = other.Build(t.Context(), func(context.Context, *Builder) error { return nil })
	if !errors.Is(err, ErrBusy) {
		t.Errorf("a second build: %v", err)
	}
	for _, s := range []chunk.Source{src, NewSource(other)} {
		if _, err := chunk.Get(t.Context(), s, chunk.Sum(plains[0])); err != nil {
			t.Error(err)
		}
	}
}

// A build that fails leaves the old index and nothing else; the next one succeeds.
func TestBuildThatFails(t *testing.T) {
	d, plains := newDisk(t), chunktest.Plains(10)
	src := built(t, d, plains)
	stop := errors.New("stop")
	if err := d.x.Build(t.Context(), func(context.Context, *Builder) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("failed build: %v", err)
	}
	if _, err := chunk.Get(t.Context(), src, chunk.Sum(plains[0])); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(d.dir)
	must(t, err)
	if len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	built(t, d, plains[5:])
	if _, err := chunk.Get(t.Context(), src, chunk.Sum(plains[0])); !errors.Is(err, chunk.ErrNotFound) {
		t.Errorf("what is not in the new index: %v", err)
	}
}

// Damage anywhere costs chunks, never wrong bytes (invariant 3).
func TestDamagedIndex(t *testing.T) {
	d, plains := newDisk(t), chunktest.Plains(300)
	built(t, d, plains)
	path := filepath.Join(d.dir, indexName)
	sound, err := os.ReadFile(path)
	must(t, err)
	hurt := func(name string, b []byte) {
		must(t, os.WriteFile(path, b, 0o600))
		x, err := Open(d.dir, d.root)
		must(t, err)
		defer x.Close()
		onlyRight(t, name, x, plains)
	}
	for _, n := range []int{0, 1, 3, 4, 23, 27, 28, len(sound) / 2, len(sound) - footSize, len(sound) - 1} {
		hurt(fmt.Sprintf("cut to %d", n), sound[:n])
	}
	hurt("longer", append(slices.Clone(sound), 0))
	rnd := rand.New(rand.NewPCG(1, 2))
	tail := len(sound) - (len(plains)*recordSize + footSize + 1000)
	for range 60 {
		b := slices.Clone(sound)
		for range 30 {
			b[tail+rnd.IntN(len(b)-tail)] ^= byte(1 + rnd.IntN(255))
			b[rnd.IntN(len(b))] ^= 0x10
		}
		hurt("flipped bits", b)
	}
}

// onlyRight fails the test if an index gives anything wrong.
func onlyRight(t *testing.T, name string, x *Index, plains [][]byte) {
	t.Helper()
	src := NewSource(x)
	for i, p := range plains {
		got, err := chunk.Get(t.Context(), src, chunk.Sum(p))
		if err == nil && !bytes.Equal(got, p) {
			t.Errorf("%s: chunk %d has other bytes", name, i)
		}
		if err != nil && !errors.Is(err, chunk.ErrNotFound) && !errors.Is(err, chunk.ErrDamaged) {
			t.Errorf("%s: chunk %d: %v", name, i, err)
		}
	}
}

// Memory is bounded by configuration, not by the size of the tree (invariant 10).
func TestMemoryOfAMillionRecords(t *testing.T) {
	d := newDisk(t)
	id := func(i int) chunk.ID { return chunk.Sum(fmt.Append(nil, i)) }
	const number = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	must(t, d.x.Build(t.Context(), func(_ context.Context, b *Builder) error {
		for i := 0; i < number; i += 10 {
			refs := make([]cvd.Ref, 10)
			for k := range refs {
				refs[k] = cvd.Ref{ID: id(i + k), Size: 1000}
			}
			if err := b.File(fmt.Sprintf("usr/share/something/file%d", i), 10_000, id(-1-i), refs); err != nil {
				return err
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		return nil
	}))
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("a million records took %d bytes of memory in the making", grown)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("a million records take %d bytes of memory", grown)
	}
	for _, i := range []int{0, 1, 77_777, number - 1} {
		want := id(i)
		spots := d.x.find(&want, false)
		if len(spots) != 1 || spots[0].off != uint64(i%10*1000) {
			t.Fatalf("chunk %d lies at %+v", i, spots)
		}
		path, err := readPath(spots[0].heap, spots[0].at)
		if want := fmt.Sprintf("usr/share/something/file%d", i/10*10); err != nil || path != want {
			t.Errorf("chunk %d is in %q, not %q: %v", i, path, want, err)
		}
	}
}

// The example in FORMAT.md is what this version writes.
func TestVector(t *testing.T) {
	d, plain := newDisk(t), bytes.Repeat([]byte{7}, 3000)
	must(t, d.x.Build(t.Context(), func(_ context.Context, b *Builder) error {
		d.write(t, b, "a", plain)
		return nil
	}))
	got, err := os.ReadFile(filepath.Join(d.dir, indexName))
	must(t, err)
	const want = "4c4c4901" + "000161" +
		"9e89044382c8cda4" + "00" + "000000000004" + "000000000000" + "000bb8" +
		"9e89044382c8cda4" +
		"0000000000000007" + "0000000000000001" + "4847da1b" + "4c4c4901"
	if h := hex.EncodeToString(got); h != want {
		t.Errorf("written: %s\nFORMAT.md: %s", h, want)
	}
}

// A record has one meaning, and one form.
func TestRecordsAreCanonical(t *testing.T) {
	for range 1000 {
		var r record
		for i := range r {
			r[i] = byte(rand.IntN(256))
		}
		r[8] %= 4
		p, ok := r.place()
		id := chunk.ID(slices.Concat(r[:8], make([]byte, 24)))
		if again := newRecord(&id, &p); ok && again != r {
			t.Errorf("%x becomes %x", r, again)
		}
	}
}

// FuzzIndex gives any bytes as an index: it is refused, or gives only what is right.
func FuzzIndex(f *testing.F) {
	plains := chunktest.Plains(6)[3:]
	d := newDisk(f)
	must(f, d.x.Build(f.Context(), func(_ context.Context, b *Builder) error {
		d.put(f, b, plains)
		return nil
	}))
	sound, err := os.ReadFile(filepath.Join(d.dir, indexName))
	must(f, err)
	f.Add(sound)
	f.Add(sound[:len(sound)-1])
	f.Add([]byte(magic))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(filepath.Join(dir, indexName), b, 0o600))
		x, err := Open(dir, d.root)
		must(t, err)
		defer x.Close()
		onlyRight(t, "fuzzed", x, plains)
		for _, k := range x.kept {
			if k.n > int64(len(b))/recordSize || len(k.fences) > len(b)/8 {
				t.Errorf("%d records in %d bytes", k.n, len(b))
			}
		}
	})
}
