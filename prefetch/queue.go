package prefetch

// queue makes batches of what the planner sends.
type queue struct {
	cuts  bool   // large files come in pieces
	have  []Item // from the planner, not in a batch yet
	stage Stage  // of have
	ended bool   // the planner has sent everything

	open   *job    // a batch being put together
	weight float64 // its cost
	large  *file   // a large file being cut
	again  []*job  // what failed, to be tried before anything new; the last first
}

// next returns a batch that is full, or to be tried again; nil where have is used up.
func (q *queue) next(size float64, m *meter) *job {
	if j := q.retry(size); j != nil {
		return j
	}
	if q.large != nil {
		return q.piece(size)
	}
	for len(q.have) > 0 {
		it := q.have[0]
		switch large := q.cut(it, size); {
		case it.Native:
			m.done(q.stage, &it, it.fresh())
		case q.open != nil && (large || q.open.stage != q.stage || q.weight+cost(it.bytes()) > 2*size):
			return q.close()
		case large:
			q.have = q.have[1:]
			q.large = &file{item: it, stage: q.stage}
			return q.piece(size)
		default:
			q.add(it)
		}
		q.have = q.have[1:]
		if q.open != nil && (q.weight >= size || len(q.open.items) >= batchItems) {
			return q.close()
		}
	}
	return nil
}

func (q *queue) add(it Item) {
	if q.open == nil {
		q.open = &job{stage: q.stage, items: make([]Item, 0, 64)}
	}
	q.open.items = append(q.open.items, it)
	q.weight += cost(it.bytes())
}

// close returns the batch being put together, nil if there is none.
func (q *queue) close() *job {
	j := q.open
	q.open, q.weight = nil, 0
	return j
}

// cut says whether a file comes in pieces.
func (q *queue) cut(it Item, size float64) bool {
	return q.cuts && it.bytes() > pieceMin && float64(it.bytes()) > 2*size
}

// piece cuts the next piece off the large file.
func (q *queue) piece(size float64) *job {
	f := q.large
	n := min(max(uint64(size), pieceMin), f.item.bytes()-f.next)
	j := &job{stage: f.stage, tries: f.tries, large: f, off: f.item.From + f.next, n: n}
	f.next += n
	f.flying++
	if f.next == f.item.bytes() {
		q.large = nil
	}
	return j
}

// retry returns what is to be tried again.
func (q *queue) retry(size float64) *job {
	if len(q.again) == 0 {
		return nil
	}
	j := q.again[len(q.again)-1]
	if j.large == nil && len(j.items) == 1 && q.cut(j.items[0], size) {
		if q.large != nil {
			return q.piece(size) // one at a time
		}
		q.large = &file{item: j.items[0], stage: j.stage, tries: j.tries}
		j = q.piece(size)
	}
	q.again = q.again[:len(q.again)-1]
	return j
}

// stopCutting asks no more of a file that is given up for now.
func (q *queue) stopCutting(f *file) {
	if q.large == f {
		q.large = nil
	}
}

// repeat queues an item that failed, with others of its kind.
func (q *queue) repeat(l lateItem) {
	if n := len(q.again); n > 0 {
		last := q.again[n-1]
		if last.tries == l.tries && last.stage == l.stage && last.bytes()+l.item.bytes() <= floor && len(last.items) < parts {
			last.items = append(last.items, l.item)
			return
		}
	}
	q.again = append(q.again, &job{stage: l.stage, tries: l.tries, items: []Item{l.item}})
}

func (q *queue) empty() bool { return q.open == nil && q.large == nil && len(q.again) == 0 }
