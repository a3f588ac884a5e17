package vfstest

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
	"syscall"
	"testing"

	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// mmap: mapped placeholders are read and written as files are.
func mmap(w *World) {
	tr := NewTree(w.T)
	for _, p := range []string{"single", "shared"} {
		tr.AddFile(p, Body(100_000, 1), 1)
	}
	tr.AddFile("ranged", Body(700_000, 2), 100<<10)
	tr.AddFile("ranged shared", Body(700_000, 3), 100<<10)
	w.Begin(tr)
	for _, p := range tr.Files() {
		want := tr.Want[p]
		data := ""
		if p == "shared" || p == "ranged shared" {
			data = "mapped"
			want.Body = bytes.Clone(want.Body)
			copy(want.Body[mapAt:], data)
			want.Touched = true
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), mapPath+"="+filepath.Join(w.Mount(), p), mapData+"="+data)
		cmd.Stderr = os.Stderr
		got, err := cmd.Output()
		if err != nil || !bytes.Equal(got, want.Body) {
			w.Errorf("%s: %v, %s", p, err, firstDiff(got, want.Body, 0))
		}
	}
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// mmapHeld: what is written through a mapping shows to those who open the file
// later, also if the file was closed before, and read in between.
func mmapHeld(w *World) {
	tr := NewTree(w.T)
	for _, p := range []string{"small", "single", "ranged"} {
		tr.AddFile(p, Body(map[string]int{"small": 9000, "single": 100_000, "ranged": 700_000}[p], 1), 100<<10)
	}
	w.Begin(tr)
	w.FillAll()
	for _, p := range tr.Files() {
		w.must(CheckBody(w.Sys, p, tr.Want[p].Body))
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), mapPath+"="+filepath.Join(w.Mount(), p), mapData+"=held", mapHold+"=yes")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		w.must(err)
		out, err := cmd.StdoutPipe()
		w.must(err)
		w.must(cmd.Start())
		said := bufio.NewReader(out)
		_, err = said.ReadString('\n')
		w.must(err)
		w.must(CheckBody(w.Sys, p, tr.Want[p].Body))
		_, err = fmt.Fprintln(in, "write")
		w.must(err)
		_, err = said.ReadString('\n')
		w.must(err)
		want := tr.Want[p]
		want.Body = bytes.Clone(want.Body)
		copy(want.Body, "held")
		want.Touched = true
		w.must(CheckBody(w.Sys, p, want.Body))
		w.must(in.Close())
		w.must(cmd.Wait())
	}
	w.Finish()
}

// holdMapping maps a file and closes it, and writes data into the mapping once it is told to.
func holdMapping(path, data string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, len(data), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Println("mapped")
	told := bufio.NewReader(os.Stdin)
	if _, err := told.ReadString('\n'); err != nil {
		return err
	}
	copy(m, data)
	fmt.Println("written")
	_, _ = told.ReadString('\n') // until the test has seen it
	return unix.Munmap(m)
}

// What the mapping process is told: a process that serves a mount must not map
// its files itself, because a page fault cannot wait for another goroutine.
const (
	mapPath = "VFSTEST_MAP"
	mapData = "VFSTEST_MAP_DATA"
	mapHold = "VFSTEST_MAP_HOLD"
	mapAt   = 50_000
)

// Main is for TestMain of packages that run the suite on a mount: the suite
// starts the test binary again for what a process cannot do to its own mount.
func Main(m *testing.M) {
	if path := os.Getenv(mapPath); path != "" {
		do := mapFile
		if os.Getenv(mapHold) != "" {
			do = holdMapping
		}
		if err := do(path, os.Getenv(mapData)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// mapFile writes data into a mapping of a file, and all of the mapping to standard output.
func mapFile(path, data string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(m[mapAt:], data)
	if _, err := os.Stdout.Write(bytes.Clone(m)); err != nil {
		return err
	}
	return errors.Join(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m))
}

// fallocate: room set aside, holes and zeros, in files that are not all here.
func fallocate(w *World) {
	const keepSize, punch, zero = 1, 3, 0x10
	tr := NewTree(w.T)
	tr.AddFile("single", Body(100_000, 1), 1)
	tr.AddFile("ranged", Body(700_000, 2), 100<<10)
	tr.AddFile("grows", Body(300_000, 2), 100<<10)
	tr.AddFile("keeps", Body(300_000, 3), 100<<10)
	w.Begin(tr)
	do := func(p string, mode uint32, off, n int) {
		w.Helper()
		f, err := w.Sys.Open(p, os.O_RDWR, 0)
		w.must(err)
		w.must(f.Fallocate(mode, int64(off), int64(n)))
		w.must(f.Close())
		want := tr.Want[p]
		b := bytes.Clone(want.Body)
		if end := off + n; mode&keepSize == 0 && end > len(b) {
			b = append(b, make([]byte, end-len(b))...)
		}
		if mode&^keepSize != 0 {
			clear(b[min(off, len(b)):min(off+n, len(b))])
		}
		want.Body, want.Touched = b, true
	}
	do("single", punch, 10_000, 20_000)
	do("ranged", punch, 150_000, 300_001)
	do("ranged", zero, 10_000, 5000)
	do("grows", 0, 250_000, 100_000)
	do("keeps", keepSize, 250_000, 100_000)
	w.Check(w.Sys)
	w.Reopen()
	w.Finish()
}

// seekData: no hole is reported where the desktop has bytes.
func seekData(w *World) {
	const data, hole = 3, 4
	tr := NewTree(w.T)
	for _, p := range []string{"single", "ranged"} {
		tr.AddFile(p, Body(100_000*len(p)/6*2, 1), 100<<10)
	}
	w.Begin(tr)
	for round := range 2 {
		for _, p := range tr.Files() {
			size := int64(len(tr.Want[p].Body))
			f, err := w.Sys.Open(p, os.O_RDONLY, 0)
			w.must(err)
			if at, err := f.Seek(5, data); at != 5 || err != nil {
				w.Errorf("%s in round %d: data from 5 on is at %d, %v", p, round, at, err)
			}
			if at, err := f.Seek(0, hole); at != size || err != nil {
				w.Errorf("%s in round %d: the first hole is at %d of %d, %v", p, round, at, size, err)
			}
			_, err = f.Seek(size, data)
			w.want("data behind the end", err, syscall.ENXIO)
			w.must(f.Close())
		}
		w.FillAll()
	}
}

// noHoles: programs that skip what takes no room on a disk read placeholders all the same.
func noHoles(w *World) {
	tr := NewTree(w.T)
	tr.AddFile("single", Body(100_000, 1), 1)
	tr.AddFile("ranged", Body(400_000, 1), 100<<10)
	w.Begin(tr)
	for _, p := range tr.Files() {
		a, err := w.Sys.Lstat(p)
		if err != nil || a.Blocks == 0 {
			w.Errorf("%s: %d blocks, %v: tar takes it for a hole", p, a.Blocks, err)
		}
	}
	if _, mounted := w.Sys.(Dir); !mounted {
		return
	}
	out := filepath.Join(w.dir, "copy")
	w.must(os.Mkdir(out, 0o755))
	sh := exec.Command("sh", "-ec", `tar -C "$1" -cS . | tar -C "$2" -x; cp --sparse=always "$1"/single "$2"/again`, "sh", w.Mount(), out)
	if b, err := sh.CombinedOutput(); err != nil {
		w.Fatalf("%v: %s", err, b)
	}
	for _, p := range append(tr.Files(), "again") {
		from := p
		if p == "again" {
			from = "single"
		}
		if err := CheckBody(Dir(out), p, tr.Want[from].Body); err != nil {
			w.Errorf("copy of %s: %v", p, err)
		}
	}
}

// setuidAndUmask: who is not root takes setuid bits away by writing, and new
// entries get the mode that the caller's umask leaves, and the group of a setgid directory.
func setuidAndUmask(w *World) {
	tr := NewTree(w.T)
	for _, p := range []string{"dir/placeholder", "dir/native"} {
		f := tr.AddFile(p, Body(5000, 1), 1)
		f.Mode, f.UID = 0o6777, 1000
	}
	d := tr.Want["dir"]
	d.Mode, d.GID = 0o2777, 50
	w.Begin(tr)
	w.must(os.Chmod(w.dir, 0o755))
	for dir := w.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		w.must(os.Chmod(dir, 0o755))
	}
	w.fill([]string{"dir/native"})
	sh := exec.Command("sh", "-ec", `cd "$1"/dir; umask 027; echo >> placeholder; echo >> native; mkdir sub; : > new; mkfifo fifo`, "sh", w.Mount())
	sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	if out, err := sh.CombinedOutput(); err != nil {
		w.Fatalf("%v: %s", err, out)
	}
	for p, mode := range map[string]uint32{"placeholder": 0o777, "native": 0o777, "sub": 0o2750, "new": 0o640, "fifo": 0o640} {
		a, err := w.Sys.Lstat("dir/" + p)
		if err != nil || a.Mode != mode || a.UID != 1000 {
			w.Errorf("%s: mode %o, want %o; user %d, %v", p, a.Mode, mode, a.UID, err)
		}
		if made := mode != 0o777; made && a.GID != 50 {
			w.Errorf("%s: group %d, not the directory's", p, a.GID)
		}
	}
}

// model: a long run of all kinds of changes to one file does what it does to bytes in memory.
func model(w *World) {
	for _, size := range []int{0, 1500, 70_000, 600_000} {
		seed := rand.Uint64()
		w.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			sub := &World{T: t, Host: w.Host, Deadline: w.Deadline}
			tr := NewTree(t)
			tr.AddFile("d/f", Body(size, 9), 50_000)
			sub.Begin(tr)
			m := modelled{sub, tr.Want["d/f"], rand.New(rand.NewPCG(seed, 1)), nil}
			m.want.Touched = true
			for range 250 {
				m.step()
				if t.Failed() {
					return
				}
			}
			m.close()
			sub.Finish()
		})
	}
}

// modelled is a file and what it must hold.
type modelled struct {
	*World
	want *Want
	r    *rand.Rand
	open File
}

func (m *modelled) file() File {
	if m.open == nil {
		f, err := m.Sys.Open("d/f", os.O_RDWR, 0)
		m.must(err)
		m.open = f
	}
	return m.open
}

func (m *modelled) close() {
	if m.open != nil {
		m.must(m.open.Close())
		m.open = nil
	}
}

func (m *modelled) grow(size int) {
	m.want.Body = append(bytes.Clone(m.want.Body), make([]byte, max(0, size-len(m.want.Body)))...)
}

func (m *modelled) step() {
	body := m.want.Body
	at, n := m.r.IntN(len(body)+1000), 1+m.r.IntN(60_000)
	switch op := m.r.IntN(14); op {
	case 0, 1, 2:
		data := Body(n, byte(m.r.IntN(256)))
		_, err := m.file().WriteAt(data, int64(at))
		m.must(err)
		m.grow(at + n)
		copy(m.want.Body[at:], data)
	case 3, 4, 5:
		buf := make([]byte, n)
		got, err := m.file().ReadAt(buf, int64(at))
		exp := body[min(at, len(body)):min(at+n, len(body))]
		if err != nil || !bytes.Equal(buf[:got], exp) {
			m.Errorf("read %d at %d: %v, %s", n, at, err, firstDiff(buf[:got], exp, at))
		}
	case 6:
		size := m.r.IntN(len(body) + 50_000)
		m.must(m.file().Truncate(uint64(size)))
		m.grow(size)
		m.want.Body = m.want.Body[:size]
	case 7:
		m.fillRange("d/f", uint64(at), uint64(n))
	case 8:
		m.must(m.FS.Settle())
	case 9:
		m.must(m.file().Sync())
	case 10, 11:
		m.close()
	case 12:
		m.close()
		m.Reopen()
	case 13:
		if m.Host.Lacks[Fallocate] != "" {
			return
		}
		const punch = 3
		m.must(m.file().Fallocate(punch, int64(at), int64(n)))
		m.grow(0)
		clear(m.want.Body[min(at, len(body)):min(at+n, len(body))])
	}
}

// concurrent: readers and writers of one file, while it is filled and settled,
// see each stripe of it as its writer left it.
func concurrent(w *World) {
	const stripes, width, rounds = 16, 70_001, 25
	tr := NewTree(w.T)
	body := Body(stripes*width, 4)
	tr.AddFile("f", bytes.Clone(body), 50_000).Touched = true
	w.Begin(tr)
	var locks [stripes]sync.RWMutex
	var all sync.WaitGroup
	ctx, end := context.WithCancel(context.Background())
	for g := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			for range rounds {
				if err := stripe(w.Sys, r, &locks, body, width, g%2 == 0); err != nil {
					w.Error(err)
					return
				}
			}
		})
	}
	var back sync.WaitGroup
	back.Go(func() {
		for at := uint64(0); ctx.Err() == nil; at += 30_000 {
			if _, err := w.FS.FillRange(ctx, "f", at%uint64(len(body)), 30_000, false); err != nil && ctx.Err() == nil {
				w.Error(err)
			}
			if err := w.FS.Settle(); err != nil {
				w.Error(err)
			}
		}
	})
	all.Wait()
	end()
	back.Wait()
	tr.Want["f"].Body = body
	w.Finish()
}

func stripe(sys System, r *rand.Rand, locks interface{}, body []byte, width int, writes bool) error {
	l := locks.(*[16]sync.RWMutex)
	i := r.IntN(len(l))
	part := body[i*width : (i+1)*width]
	f, err := sys.Open("f", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	at, n := r.IntN(width), 0
	n = 1 + r.IntN(width-at)
	if writes {
		l[i].Lock()
		defer l[i].Unlock()
		copy(part[at:at+n], Body(n, byte(r.IntN(256))))
		_, err := f.WriteAt(part[at:at+n], int64(i*width+at))
		return err
	}
	l[i].RLock()
	defer l[i].RUnlock()
	buf := make([]byte, n)
	got, err := f.ReadAt(buf, int64(i*width+at))
	if err != nil || !bytes.Equal(buf[:got], part[at:at+n]) {
		return fmt.Errorf("stripe %d at %d: %w, %s", i, at, err, firstDiff(buf[:got], part[at:at+n], i*width+at))
	}
	return nil
}

// concurrentNames: many change names in directories of their own, and in a common
// one, while all is listed and filled.
func concurrentNames(w *World) {
	const workers, files = 6, 12
	tr := NewTree(w.T)
	for g := range workers {
		for i := range files {
			tr.AddFile(fmt.Sprintf("d%d/f%d", g, i), Body(3000*(1+i), byte(g*16+i)), 100<<10)
		}
	}
	tr.Add("common", cvd.Entry{Type: cvd.Dir, Mode: 0o755})
	w.Begin(tr)
	w.Bulk.Delay(1e6)
	var all sync.WaitGroup
	for g := range workers {
		all.Go(func() {
			if err := shuffle(w.Sys, g, files); err != nil {
				w.Errorf("worker %d: %v", g, err)
			}
		})
	}
	all.Go(func() {
		if err := w.FS.ListAll(context.Background(), func() {}); err != nil {
			w.Error(err)
		}
		for _, err := range w.FS.Fill(context.Background(), tr.Files()) {
			if err != nil {
				w.Error(err)
			}
		}
	})
	all.Wait()
	for g := range workers {
		for i := range files {
			from := fmt.Sprintf("d%d/f%d", g, i)
			switch {
			case i%3 == 0:
				w.move(from, fmt.Sprintf("common/m%d-%d", g, i))
			case i%3 == 1:
				delete(tr.Want, from)
				tr.Want[parent(from)].Touched = true
			}
		}
	}
	w.Reopen()
	w.Finish()
}

// shuffle moves a third of a worker's files, removes a third, and reads the rest.
func shuffle(sys System, g, files int) error {
	for i := range files {
		from, to := fmt.Sprintf("d%d/f%d", g, i), fmt.Sprintf("common/m%d-%d", g, i)
		var err error
		switch i % 3 {
		case 0:
			for range 5 {
				if err = sys.Rename(from, to, 0); err == nil {
					err = sys.Rename(to, from, 0)
				}
				if err != nil {
					return err
				}
			}
			err = sys.Rename(from, to, 0)
		case 1:
			err = sys.Unlink(from)
		case 2:
			err = CheckBody(sys, from, Body(3000*(1+i), byte(g*16+i)))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	return nil
}
