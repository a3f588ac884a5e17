//go:build linux

package fuse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/looming-project/looming/vfs"
	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/fuse"
	"github.com/looming-project/looming/vfs/keeper"
	"github.com/looming-project/looming/vfs/vfstest"
	"golang.org/x/sys/unix"
)

// crashDir tells the test binary to serve the desktop of TestKilled below a
// directory, crashKeep that it is to have a keeper, crashLazy that it is to bring
// nothing by itself.
const (
	crashKeep = "LOOMING_TEST_CRASH_KEEP"
	crashDir  = "LOOMING_TEST_CRASH"
	crashLazy = "LOOMING_TEST_CRASH_LAZY"
	// crashShort has reads wait no longer than a second.
	crashShort = "LOOMING_TEST_CRASH_SHORT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		do := serve
		if os.Getenv(crashKeep) != "" && !keeper.Kept(os.Getenv) {
			do = keepServing
		}
		if err := do(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	vfstest.Main(m)
}

const (
	writers = 4
	readers = 2
	kills   = 24
)

// crashTree is the same desktop in every process.
func crashTree() *vfstest.Tree {
	tr := vfstest.NewTree(nil)
	for g := range writers {
		tr.AddFile(fmt.Sprintf("w%d/ranged", g), vfstest.Body(900_000, byte(g)), 50_000)
		tr.AddFile(fmt.Sprintf("w%d/single", g), vfstest.Body(90_000, byte(g+50)), 1)
		tr.AddFile(fmt.Sprintf("w%d/inline", g), vfstest.Body(900, byte(g+99)), 1)
		for i := range 20 {
			tr.AddFile(fmt.Sprintf("w%d/sub/deep/f%d", g, i), vfstest.Body(3000*i, byte(i)), 20_000)
		}
	}
	for i := range 300 {
		tr.AddFile(fmt.Sprintf("r/%d/f%d", i%20, i), vfstest.Body(i*i*5, byte(i)), 30_000)
	}
	return tr
}

func crashOpen(dir string, tr *vfstest.Tree, slow time.Duration, over *fuse.Handover) (*vfs.FS, error) {
	o := vfs.Options{Backing: filepath.Join(dir, "backing"), Side: filepath.Join(dir, "side")}
	if over != nil {
		o.Ledger, o.Nameless = over.Ledger(), over
	}
	root := tr.Finish()
	demand, bulk := vfstest.NewSource(tr.Map), vfstest.NewSource(tr.Map)
	demand.Delay(slow)
	bulk.Delay(slow)
	fault := filepath.Join(dir, faultFile)
	if os.Getenv(crashShort) != "" {
		o.Deadline = time.Second
	}
	o.Demand, o.Bulk, o.Root = faulty{demand, fault}, faulty{bulk, fault}, root
	return vfs.Open(context.Background(), o)
}

// faultFile, in the directory of a desktop, says what becomes of all chunks while it
// is there: held back, cut or damaged.
const faultFile = "fault"

type faulty struct {
	chunk.Source
	file string
}

func (f faulty) Fetch(ctx context.Context, ids []chunk.ID, got func(int, []byte, error) error) error {
	for {
		what, _ := os.ReadFile(f.file) // mostly there is none
		switch string(what) {
		case "cut":
			return vfstest.ErrLink
		case "damaged":
			return f.damaged(ids, got)
		case "held":
		default:
			return f.Source.Fetch(ctx, ids, got)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f faulty) damaged(ids []chunk.ID, got func(int, []byte, error) error) error {
	for i := range ids {
		if err := got(i, nil, chunk.ErrDamaged); err != nil {
			return err
		}
	}
	return nil
}

// keepServing is the keeper of serve.
func keepServing(string) error {
	_, err := keeper.Run(func() (*exec.Cmd, error) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd, nil
	}, keeper.Options{Deaths: 1 << 20})
	return err
}

// serve is the process that gets killed: it mounts, streams, and says when it is ready.
func serve(dir string) error {
	tr := crashTree()
	var over *fuse.Handover
	if keeper.Kept(os.Getenv) {
		k, err := keeper.Connect(os.Getenv)
		if err == nil {
			over, err = fuse.Inherit(k, "desk")
		}
		if err != nil {
			return err
		}
	}
	f, err := crashOpen(dir, tr, 200*time.Microsecond, over)
	if err != nil {
		return err
	}
	if _, err := fuse.New(f, filepath.Join(dir, "mnt"), fuse.Options{Handover: over}); err != nil {
		return err
	}
	fmt.Println(os.Getpid())
	ctx := context.Background()
	if os.Getenv(crashLazy) != "" {
		return f.Run(ctx)
	}
	for f.ListAll(ctx, func() {}) != nil { // a fault: it passes
		time.Sleep(50 * time.Millisecond)
	}
	files := tr.Files()
	rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	for i := range files {
		_ = f.Fill(ctx, files[i:i+1]) // what a fault holds back comes in the end
		if i%40 == 39 {
			_ = f.Settle()
		}
	}
	return f.Run(ctx) // until the end
}

// The process that serves a desktop is killed again and again while it streams
// and others write: what a write returned for is there, nothing is mixed, and it
// takes its mount back by itself (invariants 2 and 4).
func TestKilled(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("mounting with passthrough needs root")
	}
	dir, tr := t.TempDir(), crashTree()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for unix.Unmount(mnt, unix.MNT_DETACH) == nil {
		}
	})
	sys := vfstest.Dir(mnt)
	ws := make([]*writer, writers)
	for g := range ws {
		ws[g] = newWriter(t, tr, sys, g)
	}
	for round := range kills {
		cmd := started(t, dir)
		for _, w := range ws {
			w.resolve()
		}
		ctx, end := context.WithCancel(context.Background())
		var all sync.WaitGroup
		for _, w := range ws {
			all.Go(func() { w.run(ctx) })
		}
		for g := range readers {
			all.Go(func() { read(ctx, t, sys, tr, uint64(round*readers+g)) })
		}
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond) // a random moment to die at
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		end()
		all.Wait()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	cmd := started(t, dir)
	ops := 0
	for _, w := range ws {
		w.resolve()
		ops += w.ops
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	t.Logf("%d changes in %d lives", ops, kills)
	if ops < kills {
		t.Error("hardly anything was written")
	}
	finish(t, dir, tr, ws)
}

// started starts the serving process and returns when it has mounted.
func started(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != fmt.Sprintln(cmd.Process.Pid) {
		t.Fatalf("the serving process said %q, %v", line, err)
	}
	return cmd
}

// finish streams the rest and compares the disk with what was written.
func finish(t *testing.T, dir string, tr *vfstest.Tree, ws []*writer) {
	for unix.Unmount(filepath.Join(dir, "mnt"), unix.MNT_DETACH) == nil {
	}
	f, err := crashOpen(dir, crashTree(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := f.ListAll(ctx, func() {}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(f.Fill(ctx, tr.Files())...); err != nil {
		t.Error(err)
	}
	if err := errors.Join(f.Settle(), f.Close()); err != nil {
		t.Error(err)
	}
	f, err = crashOpen(dir, crashTree(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := f.Remaining(ctx); err != nil || len(rest) > 0 {
		t.Errorf("remaining: %q, %v", rest, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	(&vfstest.World{T: t, Tree: tr}).Check(vfstest.Dir(filepath.Join(dir, "backing")))
}

// read reads files that nobody writes, as long as there is somebody to answer:
// bytes are right or there are none.
func read(ctx context.Context, t *testing.T, sys vfstest.System, tr *vfstest.Tree, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	for ctx.Err() == nil {
		i := r.IntN(300)
		p := fmt.Sprintf("r/%d/f%d", i%20, i)
		err := vfstest.CheckBody(sys, p, vfstest.Body(i*i*5, byte(i)))
		if dead(sys, err) {
			return
		}
		if err != nil && !passing(err) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// dead says that nobody serves the mount any more. A read that was under way then
// may fail with EIO.
func dead(sys vfstest.System, err error) bool {
	if errors.Is(err, unix.EIO) {
		_, err = sys.Lstat("")
	}
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
}

// passing says that an error is one that a fault explains: no bytes, but no wrong ones.
func passing(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOSPC)
}

// writer changes the files of one directory and keeps account.
type writer struct {
	t    *testing.T
	sys  vfstest.System
	tr   *vfstest.Tree
	g    int
	r    *rand.Rand
	ops  int
	made int
	// want is this writer's part of the model.
	want map[string]*vfstest.Want
	// open says of the change that was under way when its process died whether it is done.
	open func() error
	// faults says that errors are to be expected that pass.
	faults bool
	failed int
}

func newWriter(t *testing.T, tr *vfstest.Tree, sys vfstest.System, g int) *writer {
	w := &writer{t: t, sys: sys, tr: tr, g: g, r: rand.New(rand.NewPCG(uint64(g), rand.Uint64())), want: map[string]*vfstest.Want{}}
	for _, p := range tr.Paths() {
		if want := tr.Want[p]; want.Type == cvd.Dir {
			want.Touched = true
		} else if len(p) > 2 && p[:2] == fmt.Sprintf("w%d", g) {
			w.want[p], want.Touched = want, true
		}
	}
	return w
}

// resolve finds out, once there is a mount again, what became of the change under
// way, and puts the writer's files into the model.
func (w *writer) resolve() {
	w.t.Helper()
	if w.open != nil {
		if err := w.open(); err != nil {
			w.t.Errorf("writer %d: %v", w.g, err)
		}
		w.open = nil
	}
	for p := range w.tr.Want {
		if len(p) > 2 && p[:2] == fmt.Sprintf("w%d", w.g) && w.tr.Want[p].Type != cvd.Dir {
			delete(w.tr.Want, p)
		}
	}
	for p, want := range w.want {
		w.tr.Want[p] = want
	}
}

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		step := []func() error{w.write, w.write, w.write, w.truncate, w.create, w.rename, w.unlink, w.check}[w.r.IntN(8)]
		err := step()
		if !w.faults && dead(w.sys, err) {
			return
		}
		if err != nil && w.faults && passing(err) {
			w.failed++
			err = w.pass()
		}
		if err != nil {
			w.t.Errorf("writer %d: %v", w.g, err)
			return
		}
		w.open = nil
		w.ops++
	}
}

// pass finds out what became of a change that a fault had fail, once it has passed.
func (w *writer) pass() error {
	for w.open != nil {
		err := w.open()
		if err == nil || !passing(err) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// any is one of the writer's files.
func (w *writer) any() string {
	i := w.r.IntN(len(w.want))
	for p := range w.want {
		if i--; i < 0 {
			return p
		}
	}
	panic("unreachable")
}

// pick is any, or one of the files that are interesting.
func (w *writer) pick() string {
	p := fmt.Sprintf("w%d/%s", w.g, []string{"ranged", "single", "inline"}[w.r.IntN(3)])
	if w.want[p] == nil || w.r.IntN(3) == 0 {
		return w.any()
	}
	return p
}

func (w *writer) write() error {
	p := w.pick()
	want := w.want[p]
	old := want.Body
	at, data := w.r.IntN(len(old)+1), vfstest.Body(1+w.r.IntN(30_000), byte(w.r.IntN(256)))
	next := append(bytes.Clone(old), make([]byte, max(0, at+len(data)-len(old)))...)
	copy(next[at:], data)
	w.open = func() error { return w.settle(p, old, next) }
	f, err := w.sys.Open(p, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := f.WriteAt(data, int64(at))
	if err != nil {
		return err
	}
	if n < len(data) && w.faults {
		return unix.ENOSPC // the next write would say so
	}
	if n < len(data) {
		return fmt.Errorf("%s: %d of %d bytes were written", p, n, len(data))
	}
	want.Body = next
	return nil
}

// settle accepts the old bytes of a file or the new ones, byte by byte: a write
// that did not return may be there in part.
func (w *writer) settle(p string, old, next []byte) error {
	a, err := w.sys.Lstat(p)
	if err != nil {
		return err
	}
	f, err := w.sys.Open(p, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	got := make([]byte, a.Size)
	if n, err := f.ReadAt(got, 0); err != nil || n < len(got) {
		return fmt.Errorf("%s: %d bytes of %d, %w", p, n, len(got), err)
	}
	if len(got) < min(len(old), len(next)) || len(got) > max(len(old), len(next)) {
		return fmt.Errorf("%s: %d bytes, neither %d nor %d", p, len(got), len(old), len(next))
	}
	for i, b := range got {
		if (i >= len(old) || b != old[i]) && (i >= len(next) || b != next[i]) {
			return fmt.Errorf("%s: byte %d of %d is %#x, neither old nor new", p, i, len(got), b)
		}
	}
	w.want[p].Body = got
	return nil
}

func (w *writer) truncate() error {
	p := w.pick()
	want := w.want[p]
	size := w.r.IntN(len(want.Body) + 20_000)
	if w.r.IntN(8) == 0 {
		size = 0
	}
	old := want.Body
	next := append(bytes.Clone(old), make([]byte, max(0, size-len(old)))...)[:size]
	w.open = func() error { return w.settle(p, old, next) }
	if err := w.sys.Truncate(p, uint64(size)); err != nil {
		return err
	}
	want.Body = next
	return nil
}

func (w *writer) create() error {
	w.made++
	p := fmt.Sprintf("w%d/sub/new%d", w.g, w.made)
	next := &vfstest.Want{Entry: cvd.Entry{Type: cvd.File, Mode: 0o640}, Touched: true}
	w.open = func() error { return w.either(p, next, "", nil) }
	f, err := w.sys.Open(p, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	w.want[p] = next
	return f.Close()
}

// either accepts that p is there with want, or else other with its own.
func (w *writer) either(p string, want *vfstest.Want, other string, otherWant *vfstest.Want) error {
	delete(w.want, p)
	if other != "" {
		delete(w.want, other)
	}
	_, err := w.sys.Lstat(p)
	if err == nil {
		w.want[p] = want
	} else if !errors.Is(err, unix.ENOENT) {
		return err
	}
	if other == "" {
		return nil
	}
	if _, otherErr := w.sys.Lstat(other); (otherErr == nil) == (err == nil) {
		return fmt.Errorf("%s and %s: %v and %v after a rename", p, other, err, otherErr)
	}
	if err != nil {
		w.want[other] = otherWant
	}
	return nil
}

func (w *writer) rename() error {
	from := w.any()
	w.made++
	to := fmt.Sprintf("w%d/moved%d", w.g, w.made)
	want := w.want[from]
	w.open = func() error { return w.either(to, want, from, want) }
	if err := w.sys.Rename(from, to, 0); err != nil {
		return err
	}
	delete(w.want, from)
	w.want[to] = want
	return nil
}

func (w *writer) unlink() error {
	if len(w.want) < 10 {
		return w.create()
	}
	p := w.any()
	want := w.want[p]
	w.open = func() error { return w.either(p, want, "", nil) }
	if err := w.sys.Unlink(p); err != nil {
		return err
	}
	delete(w.want, p)
	return nil
}

func (w *writer) check() error {
	p := w.any()
	w.open = nil
	if err := vfstest.CheckBody(w.sys, p, w.want[p].Body); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}
