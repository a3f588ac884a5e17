package prefetch

import (
	"errors"
	"time"
)

// job is a batch, or a piece of a large file.
type job struct {
	stage Stage
	items []Item
	tries int   // how often its items have failed before
	large *file // where it is a piece: of this
	off   uint64
	n     uint64
}

// file is a large file that comes in pieces.
type file struct {
	item  Item
	stage Stage
	tries int
	next  uint64 // how many of its bytes were asked for
	here  uint64 // bytes that have come
	// counted are those of them that had not come with parts of the file before, as far as is shown.
	counted uint64
	flying  int   // pieces in flight, or to be asked again
	err     error // why it is given up for now
}

// credit notes that n bytes came, and says how many are to be shown: those that were shown before come last.
func (f *file) credit(n uint64) uint64 {
	f.here += n
	shown := min(f.here, f.item.fresh()) - f.counted
	f.counted += shown
	return shown
}

// result is how a job ended.
type result struct {
	*job
	ticket *ticket
	epoch  int // of the run when it started
	began  time.Time
	err    error
}

// batchItems bounds a batch where files are tiny.
const batchItems = 1024

// pieceMin is the least piece of a large file. It is less than a chunk on average, so on slow links some pieces are one
// fetch; smaller ones would save nothing.
const pieceMin = 64 << 10

func (j *job) path() string {
	if j.large != nil {
		return j.large.item.Path
	}
	return j.items[0].Path
}

func (j *job) cost() float64 {
	if j.large != nil {
		return cost(j.n)
	}
	sum := 0.0
	for i := range j.items {
		sum += cost(j.items[i].bytes())
	}
	return sum
}

func (j *job) bytes() (n uint64) {
	if j.large != nil {
		return j.n
	}
	for i := range j.items {
		n += j.items[i].bytes()
	}
	return n
}

// of is a job for some of j's items.
func (j *job) of(items []Item) *job {
	some := *j
	some.items = items
	return &some
}

// halves splits a batch that failed as a whole.
func (j *job) halves() [2]*job {
	m := len(j.items) / 2
	return [2]*job{j.of(j.items[:m:m]), j.of(j.items[m:])}
}

// cause is the error of the first item that failed, where err says which did.
func cause(err error) error {
	if p, some := asPartial(err); some && len(p.Unwrap()) > 0 {
		return p.Unwrap()[0]
	}
	return err
}

func asPartial(err error) (*Partial, bool) {
	var p *Partial
	ok := errors.As(err, &p)
	return p, ok
}
