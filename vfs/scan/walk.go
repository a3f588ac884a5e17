package scan

import (
	"bytes"
	"context"

	"github.com/looming-project/looming/vfs/cvd"
)

const (
	// batchLen is how many items go to the assembler in one go, batchAhead how many batches the walker is ahead.
	batchLen   = 64
	batchAhead = 256
)

// item is one step of the walk, on its way to the assembler. Of payload, facts, job and link one says what the entry is.
type item struct {
	tag  byte
	name string
	st   stat
	// payload: nothing has changed, and all of it is on the server.
	payload []byte
	// facts are known and have to be written; sure says that they are on the server.
	facts *facts
	sure  bool
	// job finds the facts out.
	job *job
	// group is the hard-link group; next says that it is not the first name, and has the first's facts.
	group uint64
	next  bool
	err   error
	// n is the directory that is entered or left.
	n *node
	// old is the end of a directory in which no entry is missing that the stat cache has.
	old *record
}

// walker goes through the tree in canonical order.
type walker struct {
	ctx     context.Context
	front   *frontier
	lister  *lister
	hook    Placeholders
	sources []*source
	jobs    chan *job
	out     chan []item
	batch   []item
	links   map[[2]uint64]*linked
	count   *Counters
}

// linked is a file with several names, as long as not all were met.
type linked struct {
	group uint64
	left  uint32
}

// inside says in which sources the walk stands in the directory at hand.
type inside [3]bool

// run walks from the root on, which is open.
func (w *walker) run(root *node) error {
	defer close(w.out)
	defer close(w.jobs)
	if root.err = w.lister.top(root); root.err != nil {
		return root.err
	}
	w.front.begin(root)
	it := item{tag: tagEnter, n: root, st: root.st}
	var all inside
	for i := range w.sources {
		all[i] = true
	}
	in, _ := w.match(&it, all, (*source).top)
	if err := w.directory(root, it, in); err != nil {
		return err
	}
	return w.flush()
}

// match looks an entry up in the sources in which the walk stands, and sets its payload or what facts are known. It says
// into which sources the walk can follow, and whether entries were passed that are gone.
func (w *walker) match(it *item, in inside, find func(*source) (record, bool, bool)) (into inside, passed bool) {
	var known []byte
	k := it.st.key()
	isDir := it.st.kind() == cvd.Dir
	for i, s := range w.sources {
		if !in[i] {
			continue
		}
		rec, ok, over := find(s)
		passed = passed || over && s.trusted
		into[i] = ok && rec.tag == tagEnter && isDir
		if ok && rec.tag == tagEnter && !isDir {
			s.leave()
		}
		if !ok || rec.racy || (rec.tag == tagEnter) != isDir || !bytes.Equal(rec.key, k[:]) {
			continue
		}
		if s.trusted {
			it.payload = rec.payload
		} else {
			known = rec.payload
		}
	}
	if it.payload == nil && known != nil {
		it.facts, _ = decodeFacts(known, it.st.kind()) // damaged: not known
	}
	return into, passed
}

// directory walks one that is open and listed.
func (w *walker) directory(n *node, it item, in inside) error {
	defer n.release()
	w.count.current.Store(n)
	if err := w.about(&it); err != nil {
		it.err = err
	}
	n.hold() // for the assembler
	if err := w.emit(it); err != nil {
		return err
	}
	whole := true
	for more := true; more; more = w.front.more(n, w.lister) {
		for i := range n.ents {
			ok, err := w.entry(n, &n.ents[i], in)
			if err != nil {
				return err
			}
			whole = whole && ok
		}
	}
	n.ents, n.rest, n.text = nil, nil, "" // others hold on to n for its descriptor and path
	end := item{tag: tagLeave, n: n}
	for i, s := range w.sources {
		if !in[i] {
			continue
		}
		if rec, ok, passed := s.leave(); ok && !passed && whole && s.trusted {
			end.old = &rec
		}
	}
	return w.emit(end)
}

// about finds out what a directory's stat does not say. Whatever it finds beside an error is not for the next scan.
func (w *walker) about(it *item) error {
	if it.payload != nil || it.facts != nil {
		return nil
	}
	it.facts = &facts{}
	xs, err := it.n.d.selfXattrs()
	if err == nil {
		it.facts.xattrs, err = native(xs, w.hook)
	}
	it.facts.loose = err != nil
	return err
}

// entry walks one entry. ok is false if the stat cache has entries before it that are gone.
func (w *walker) entry(n *node, e *ent, in inside) (ok bool, err error) {
	if w.ctx.Err() != nil {
		return false, w.ctx.Err()
	}
	w.count.Entries.Add(1)
	if e.err != nil {
		return true, w.emit(item{tag: tagEntry, name: e.name, err: e.err})
	}
	if e.kid != nil {
		return w.below(e, in)
	}
	it := item{tag: tagEntry, name: e.name, st: e.st}
	_, passed := w.match(&it, in, func(s *source) (record, bool, bool) { return s.find(e.name) })
	w.link(n, &it)
	if it.payload == nil && !it.next {
		w.give(n, &it)
	}
	return !passed, w.emit(it)
}

// below walks a directory below.
func (w *walker) below(e *ent, in inside) (ok bool, err error) {
	n := e.kid
	e.kid = nil
	if err := w.front.need(w.ctx, n, w.lister); err != nil {
		return false, err
	}
	it := item{tag: tagEnter, name: e.name, st: n.st, n: n}
	if n.err != nil {
		defer n.release()
		if n.gone {
			return true, nil
		}
		return true, w.emit(item{tag: tagEntry, name: e.name, st: n.st, err: n.err})
	}
	into, passed := w.match(&it, in, func(s *source) (record, bool, bool) { return s.find(e.name) })
	return !passed, w.directory(n, it, into)
}

// link finds the hard-link group of an entry with several names.
func (w *walker) link(n *node, it *item) {
	if it.st.Nlink < 2 {
		return
	}
	id := [2]uint64{it.st.dev, it.st.Ino}
	l := w.links[id]
	if l == nil {
		l = &linked{group: cvd.LinkGroup(n.path(it.name)), left: it.st.Nlink}
		w.links[id] = l
	} else {
		it.next = it.payload == nil
	}
	if l.left--; l.left == 0 {
		delete(w.links, id)
	}
	it.group = l.group
	if it.payload == nil {
		return
	}
	// The first name may be another than last time: then the content is known, the group is new.
	if g, ok := groupOf(it.payload, it.st.kind()); ok && g == l.group {
		return
	}
	f, err := decodeFacts(it.payload, it.st.kind())
	if it.payload = nil; err == nil {
		f.group = l.group
		it.facts, it.sure = f, true
	}
}

// give hands an entry to the workers.
func (w *walker) give(n *node, it *item) {
	if it.sure {
		return
	}
	j := &job{n: n, name: it.name, st: it.st, known: it.facts}
	it.facts, it.job = nil, j
	n.hold()
	j.wait.Add(1)
	w.jobs <- j // workers take jobs until the channel is closed
}

func (w *walker) emit(it item) error {
	w.batch = append(w.batch, it)
	if len(w.batch) < batchLen {
		return nil
	}
	return w.flush()
}

func (w *walker) flush() error {
	select {
	case w.out <- w.batch:
		w.batch = make([]item, 0, batchLen)
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}
