package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sync/errgroup"
)

// Defaults.
const (
	defaultWorkers = 6
	listers        = 4
	largeAtOnce    = 3
)

// Options say what to read, and how.
type Options struct {
	// Root is the directory.
	Root string
	// CVD is the desktop's name; stat caches are kept apart by it.
	CVD string
	// Cache is the directory of stat caches; without one everything is read each time.
	Cache string
	// Exclude are patterns of what is left out: "*" matches within a name, "**" over directories. With a slash in it a
	// pattern is for paths from the root on, without for names anywhere; a slash at its end makes it one for
	// directories only.
	Exclude []string
	// Skip are directories that are left out wherever they are met, such as Looming's own state.
	Skip []string
	// OtherFilesystems: mount points below the root are entered.
	OtherFilesystems bool
	// Placeholders say what placeholders in a backing directory stand for.
	Placeholders Placeholders
	// Cut says how a file is cut, from its name and first bytes; chunk.CutFor by default.
	Cut func(name string, head []byte) chunk.Cut
	// Workers is how many files are read at once; 6 by default. Each takes about 3 MiB.
	Workers int
	// Now is the clock.
	Now func() time.Time
	// Unreadable is told of each entry that could not be read; the path is relative to the root.
	Unreadable func(path string, err error)
	// Notice is told what a person may want to know.
	Notice func(text string)
	// Committing is told when all is on the server and the snapshot is committed.
	Committing func()
	// Count is where progress can be watched.
	Count *Counters
}

func (o *Options) defaults() error {
	if o.Cut == nil {
		o.Cut = chunk.CutFor
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Unreadable == nil {
		o.Unreadable = func(string, error) {}
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Committing == nil {
		o.Committing = func() {}
	}
	if o.Count == nil {
		o.Count = &Counters{}
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Root, err)
	}
	o.Root = root
	return nil
}

// Counters can be read while a scan runs.
type Counters struct {
	// Entries were met, Dirs are done, Unreadable could not be read.
	Entries, Dirs, Unreadable atomic.Int64
	// BytesSeen is the length of all files that are done; BytesBefore and EntriesBefore are what the desktop's last
	// snapshot held, 0 if there is none.
	BytesSeen, BytesBefore, EntriesBefore atomic.Int64
	// BytesRead came from disk, BytesSent went to the server as frames.
	BytesRead, BytesSent, ChunksSent atomic.Int64

	current atomic.Pointer[node]
}

// Current is the directory at hand, relative to the root.
func (c *Counters) Current() string {
	if n := c.current.Load(); n != nil {
		return n.own()
	}
	return ""
}

// Tree is what a scan made.
type Tree struct {
	Root       cvd.Root
	Sums       cvd.Sums
	Unreadable int64
}

// since is when the scan began.
type since struct{ start time.Time }

// scan is one pass over the disk.
type scan struct {
	Options
	session Session
	cache   *cacheFiles
	// sink, if set, is told what is found.
	sink Sink
	// distrust: the server turned out to lack what a stat cache says it has.
	distrust bool
}

// run reads the tree and brings it to the server. The stat cache it wrote has to be committed or stopped.
func (s *scan) run(ctx context.Context) (tree Tree, cache *cacheWriter, err error) {
	if err := ready(); err != nil {
		return tree, nil, err
	}
	rules, err := newRules(&s.Options)
	if err != nil {
		return tree, nil, err
	}
	if err := s.cache.rotate(); err != nil {
		return tree, nil, fmt.Errorf("stat cache: %w", err)
	}
	dirs := &openDirs{open: map[*node]struct{}{}}
	defer dirs.closeAll()
	root, err := openTop(s.Root, dirs)
	if err != nil {
		return tree, nil, err
	}
	sources := s.sources()
	defer func() {
		for _, src := range sources {
			if src.err != nil {
				s.Notice(fmt.Sprintf("%v; files from there on are read again", src.err))
			}
			src.close()
		}
	}()
	p := s.pass(rules, root, sources)
	if err = p.run(ctx, root); err != nil {
		p.asm.cache.stop()
		return tree, nil, err
	}
	return Tree{p.asm.root, p.asm.sums, s.Count.Unreadable.Load()}, p.asm.cache, nil
}

// sources are the stat caches of earlier scans.
func (s *scan) sources() []*source {
	if s.sink != nil {
		return s.known()
	}
	latest := s.session.Info().Root
	if s.distrust {
		latest = cvd.Root{}
	}
	return s.cache.sources(latest, s.Notice)
}

// openTop opens the root of the scan.
func openTop(path string, dirs *openDirs) (*node, error) {
	d, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	n := &node{d: d, dirs: dirs, ready: make(chan struct{})}
	n.refs.Store(1)
	dirs.add(n)
	var up stat
	if err = d.self(&n.st); err == nil {
		err = d.above(&up)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "look at", Path: path, Err: err}
	}
	n.mount = up.dev != n.st.dev || up.Ino == n.st.Ino
	return n, nil
}

// pass is the machinery of one scan.
type pass struct {
	ship   *shipper
	work   *work
	front  *frontier
	rules  *rules
	hook   Placeholders
	number int
	walk   *walker
	asm    *assembler
}

func (s *scan) pass(rules *rules, root *node, sources []*source) *pass {
	start := s.Now()
	p := &pass{ship: newShipper(s.session, s.Count), front: newFrontier(), rules: rules, hook: s.Placeholders, number: s.Workers}
	p.work = &work{
		ship: p.ship, count: s.Count, hook: s.Placeholders, first: s.session.Info().Latest.IsZero(), cut: s.Cut, now: s.Now, jobs: make(chan *job, 4096),
		slabs: make(chan *slab, spareSlabs+s.Workers), spare: make(chan *slab, spareSlabs+s.Workers), finish: make(chan struct{}),
	}
	p.work.splits = make(chan []byte, max(largeAtOnce, runtime.GOMAXPROCS(0)))
	for range cap(p.work.splits) {
		p.work.splits <- nil
	}
	for range spareSlabs {
		p.work.spare <- &slab{}
	}
	p.walk = &walker{
		front: p.front, lister: newLister(rules, s.Placeholders), hook: s.Placeholders, sources: sources, jobs: p.work.jobs,
		out: make(chan []item, batchAhead), links: map[[2]uint64]*linked{}, count: s.Count,
	}
	p.asm = &assembler{
		in: p.walk.out, work: p.work, cache: s.cache.create(), since: since{start}, count: s.Count, sink: s.sink,
		names: map[[2]uint64]*named{},
		report: func(path string, err error) {
			s.Count.Unreadable.Add(1)
			s.Unreadable(path, err)
		},
	}
	return p
}

// run ends when everything is on the server, or with the first error.
func (p *pass) run(ctx context.Context, root *node) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	p.walk.ctx, p.asm.ctx = ctx, ctx
	var all errgroup.Group
	note := func(err error) error {
		if err != nil {
			fail(err)
		}
		return err
	}
	for range listers {
		all.Go(func() error { p.front.run(newLister(p.rules, p.hook)); return nil })
	}
	all.Go(func() error {
		defer p.front.close()
		return note(p.walk.run(root))
	})
	all.Go(func() error {
		defer close(p.work.finish)
		return note(p.asm.run())
	})
	var workers sync.WaitGroup
	for range p.number {
		workers.Go(func() { p.work.run(ctx, fail) })
	}
	for range uploaders {
		all.Go(func() error { return note(p.ship.run(ctx)) })
	}
	all.Go(func() error {
		workers.Wait()
		p.ship.close()
		return nil
	})
	err := all.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
