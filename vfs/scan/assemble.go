package scan

import (
	"context"
	"errors"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
)

// pendMost is how many unchanged entries of a directory are held back, in the hope that none changed.
const pendMost = 4096

// assembler makes nodes and the next stat cache from what the walker met, in the same order.
type assembler struct {
	ctx   context.Context
	in    chan []item
	work  *work
	cache *cacheWriter
	since since
	count *Counters
	// sink, if set, is told of every file, and is given all nodes in place of a server.
	sink    Sink
	report  func(path string, err error)
	stack   []*level
	names   map[[2]uint64]*named
	sl      *slab
	scratch []byte
	// free are lists for pending entries, to be used again.
	free [][]pending

	root cvd.Root
	sums cvd.Sums
}

// level is a directory that is open.
type level struct {
	it      item
	f       *facts
	payload []byte
	// build is nil as long as nothing has changed; then pending are the entries so far.
	build   *cvd.Builder
	pending []pending
}

// pending is an unchanged entry.
type pending struct {
	name    string
	st      stat
	payload []byte
	tree    chunk.ID
	sums    cvd.Sums
}

// named is the first of a file's names.
type named struct {
	st    stat
	facts *facts
	err   error
	left  uint32
}

// run takes items until the walker is through, and makes the root.
func (a *assembler) run() error {
	a.sl = <-a.work.spare
	for {
		select {
		case batch, ok := <-a.in:
			if !ok {
				return a.last()
			}
			for i := range batch {
				if err := a.take(&batch[i]); err != nil {
					a.salvage(batch[i+1:])
					return err
				}
			}
		case <-a.ctx.Done():
			a.salvage(nil)
			return a.ctx.Err()
		}
	}
}

// salvage keeps what the workers have found out when a scan ends early: the next one need not read it again. The nodes
// of such a stat cache are never used.
func (a *assembler) salvage(batch []item) {
	for ok := a.ctx.Err() != nil; ok; batch, ok = <-a.in { // the walker ends too
		for i := range batch {
			a.keepFacts(&batch[i])
		}
	}
}

func (a *assembler) keepFacts(it *item) {
	f, st := it.facts, &it.st
	switch {
	case it.tag == tagLeave:
		a.cache.add(func(b []byte) []byte { return appendLeave(b, chunk.ID{}, cvd.Sums{}) })
		return
	case it.err != nil && it.tag != tagEnter || it.next:
		return
	case it.payload != nil:
		a.write(it.tag, it.name, st, it.payload)
		return
	case it.job != nil:
		if it.job.wait.Wait(); it.job.err != nil {
			return
		}
		f, st = &it.job.facts, &it.job.st
		f.group = it.group
	}
	a.scratch = f.append(a.scratch[:0], st.kind())
	a.write(f.tag(it.tag), it.name, st, a.scratch)
}

func (a *assembler) take(it *item) error {
	switch it.tag {
	case tagEnter:
		return a.enter(it)
	case tagLeave:
		return a.leave(it)
	}
	return a.entry(it)
}

func (a *assembler) top() *level { return a.stack[len(a.stack)-1] }

// enter opens a level.
func (a *assembler) enter(it *item) error {
	if it.err != nil {
		a.report(it.n.own(), it.err)
	}
	l := &level{it: *it, f: it.facts, payload: it.payload}
	if n := len(a.free); n > 0 {
		l.pending, a.free = a.free[n-1], a.free[:n-1]
	}
	if l.payload == nil {
		l.payload = l.f.append(nil, cvd.Dir)
	}
	a.stack = append(a.stack, l)
	a.write(l.f.tag(tagEnter), it.name, &it.st, l.payload)
	if it.payload == nil || a.sink != nil {
		return a.change(l)
	}
	return nil
}

// tag is a record's tag, for facts that are to be trusted or not; nil are facts of before.
func (f *facts) tag(tag byte) byte {
	if f != nil && f.loose {
		tag |= tagRacy
	}
	return tag
}

// write adds to the stat cache.
func (a *assembler) write(tag byte, name string, st *stat, payload []byte) {
	if st.racy(a.since.start) {
		tag |= tagRacy
	}
	a.cache.add(func(b []byte) []byte {
		k := st.key()
		return appendRecord(b, tag, name, &k, payload)
	})
}

// change makes a level's node anew, because something in it changed.
func (a *assembler) change(l *level) error {
	if l.build != nil {
		return nil
	}
	l.build = cvd.NewBuilder(a.put)
	for i := range l.pending {
		if err := l.add(&l.pending[i]); err != nil {
			return err
		}
	}
	a.drop(l)
	return nil
}

// drop empties the list of pending entries for other use.
func (a *assembler) drop(l *level) {
	if cap(l.pending) > 0 {
		clear(l.pending)
		a.free = append(a.free, l.pending[:0])
		l.pending = nil
	}
}

// add puts an unchanged entry into a node that changes.
func (l *level) add(p *pending) error {
	e := p.st.entry(p.name)
	f, err := decodeFacts(p.payload, e.Type)
	if err != nil {
		return err
	}
	f.fill(&e)
	e.Tree, e.Sums = p.tree, p.sums
	return l.build.Add(&e)
}

// keep takes an unchanged entry.
func (a *assembler) keep(l *level, p pending) error {
	if l.build == nil && len(l.pending) < pendMost {
		l.pending = append(l.pending, p)
		return nil
	}
	if err := a.change(l); err != nil {
		return err
	}
	return l.add(&p)
}

// entry takes what is no directory.
func (a *assembler) entry(it *item) error {
	l := a.top()
	if it.st.kind() == cvd.File {
		a.count.BytesSeen.Add(int64(it.st.Size))
	}
	if it.payload != nil {
		if it.group != 0 {
			a.name(it, &it.st, nil, nil)
		}
		a.write(tagEntry, it.name, &it.st, it.payload)
		if a.sink != nil {
			if err := a.tellKept(it, l.it.n.path(it.name)); err != nil {
				return err
			}
		}
		return a.keep(l, pending{name: it.name, st: it.st, payload: it.payload})
	}
	st, f, err := a.resolve(it)
	if err == nil {
		err = a.insert(l, it.name, st, f)
	}
	var ends *scanError
	if errors.As(err, &ends) {
		return ends.err
	}
	if err != nil {
		if !vanished(err) {
			a.report(l.it.n.path(it.name), err)
		}
		return a.change(l)
	}
	return nil
}

// resolve waits for what is not known yet.
func (a *assembler) resolve(it *item) (*stat, *facts, error) {
	switch {
	case it.err != nil:
		return nil, nil, it.err
	case it.next:
		return a.first(it)
	case it.job != nil:
		j := it.job
		j.wait.Wait()
		if j.err == nil && it.group != 0 {
			j.group = it.group
		}
		if it.group != 0 {
			a.name(it, &j.st, &j.facts, j.err)
		}
		return &j.st, &j.facts, j.err
	}
	if it.group != 0 {
		a.name(it, &it.st, it.facts, nil)
	}
	return &it.st, it.facts, nil
}

// name remembers a file by its first name, as long as others may come.
func (a *assembler) name(it *item, st *stat, f *facts, err error) {
	id := [2]uint64{it.st.dev, it.st.Ino}
	n := a.names[id]
	if n == nil {
		n = &named{left: it.st.Nlink}
		a.names[id] = n
		n.st, n.facts, n.err = *st, f, err
		if f == nil && err == nil {
			n.facts, n.err = decodeFacts(append([]byte{}, it.payload...), it.st.kind())
		}
	}
	if n.left--; n.left == 0 {
		delete(a.names, id)
	}
}

// first gives another name what the first has.
func (a *assembler) first(it *item) (*stat, *facts, error) {
	id := [2]uint64{it.st.dev, it.st.Ino}
	n := a.names[id]
	if n == nil {
		return nil, nil, ErrChanging
	}
	if n.left--; n.left == 0 {
		delete(a.names, id)
	}
	if vanished(n.err) {
		return nil, nil, ErrChanging
	}
	return &n.st, n.facts, n.err
}

// insert puts an entry that is new or changed into its directory and the stat cache.
func (a *assembler) insert(l *level, name string, st *stat, f *facts) error {
	e := st.entry(name)
	f.fill(&e)
	if err := e.Check(); err != nil {
		return err
	}
	if err := a.change(l); err != nil {
		return &scanError{err}
	}
	if err := l.build.Add(&e); err != nil {
		return &scanError{err}
	}
	a.scratch = f.append(a.scratch[:0], e.Type)
	a.write(f.tag(tagEntry), name, st, a.scratch)
	if a.sink != nil && e.Type == cvd.File {
		if err := a.tell(l.it.n.path(name), f); err != nil {
			return &scanError{err}
		}
	}
	return nil
}

// leave closes a level and enters the directory one level up.
func (a *assembler) leave(it *item) error {
	defer it.n.release()
	l := a.top()
	tree, sums, err := a.finish(l, it)
	a.cache.add(func(b []byte) []byte { return appendLeave(b, tree, sums) })
	if err != nil {
		return err
	}
	a.stack = a.stack[:len(a.stack)-1]
	a.drop(l)
	a.count.Dirs.Add(1)
	p := pending{name: l.it.name, st: l.it.st, payload: l.payload, tree: tree, sums: sums}
	if len(a.stack) == 0 {
		return a.crown(&p)
	}
	up := a.top()
	if l.build == nil {
		return a.keep(up, p)
	}
	if err := a.change(up); err != nil {
		return err
	}
	return up.add(&p)
}

// finish returns a level's tree: the old one if nothing in it changed.
func (a *assembler) finish(l *level, it *item) (chunk.ID, cvd.Sums, error) {
	if l.build == nil && it.old != nil {
		return it.old.tree, it.old.sums, nil
	}
	if err := a.change(l); err != nil {
		return chunk.ID{}, cvd.Sums{}, err
	}
	return l.build.Finish()
}

// crown makes the root node.
func (a *assembler) crown(p *pending) error {
	e := p.st.entry("")
	f, err := decodeFacts(p.payload, cvd.Dir)
	if err != nil {
		return err
	}
	f.fill(&e)
	e.Tree, e.Sums = p.tree, p.sums
	plain, err := cvd.EncodeRoot(&e)
	if err != nil {
		return err
	}
	id, err := a.put(plain)
	a.root, a.sums = cvd.Root(id), p.sums
	return err
}

// put brings a node to the server, or to the sink.
func (a *assembler) put(plain []byte) (chunk.ID, error) {
	if a.sink != nil {
		id := chunk.Sum(plain)
		return id, a.sink.Chunk(id, plain)
	}
	if a.sl.room() < len(plain) {
		if err := a.pass(); err != nil {
			return chunk.ID{}, err
		}
	}
	return a.sl.add(plain), nil
}

// pass hands the slab with nodes to a worker.
func (a *assembler) pass() error {
	a.work.slabs <- a.sl // has room for all of them
	select {
	case a.sl = <-a.work.spare:
		return nil
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
}

// last hands over what is left, if the walk came to its end.
func (a *assembler) last() error {
	if a.ctx.Err() != nil {
		return a.ctx.Err()
	}
	if a.root.IsZero() {
		return errors.New("the walk ended early")
	}
	a.work.slabs <- a.sl
	a.sl = nil
	return nil
}
