package local

import (
	"bufio"
	"container/heap"
	"errors"
	"io"
)

// recordWriter writes records one behind the other, and makes a run of them.
type recordWriter struct {
	w *bufio.Writer
	r *run
}

func newRecordWriter(w io.Writer, r *run) *recordWriter {
	return &recordWriter{bufio.NewWriterSize(w, heapBuffer), r}
}

func (w *recordWriter) add(r *record) error {
	if w.r.n%blockRecords == 0 {
		w.r.fences = append(w.r.fences, r.prefix())
	}
	w.r.n++
	_, err := w.w.Write(r[:])
	return err
}

func (w *recordWriter) flush() error { return w.w.Flush() }

// merge gives the records of all runs in order, each once, and of one kind and prefix at most placesMax.
func merge(runs []*run, each func(*record) error) error {
	var h cursors
	for _, r := range runs {
		c := &cursor{in: bufio.NewReaderSize(io.NewSectionReader(r.r, r.at, r.n*recordSize), blockSize)}
		ok, err := c.next()
		if err != nil {
			return err
		}
		if ok {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	var last record
	same := 0
	for len(h) > 0 {
		r := h[0].cur
		if r != last {
			if [9]byte(r[:9]) != [9]byte(last[:9]) { // prefix and kind
				same = 0
			}
			if same++; same <= placesMax {
				if err := each(&r); err != nil {
					return err
				}
			}
			last = r
		}
		if err := h.advance(); err != nil {
			return err
		}
	}
	return nil
}

// cursor goes through a run.
type cursor struct {
	in  *bufio.Reader
	cur record
}

func (c *cursor) next() (bool, error) {
	_, err := io.ReadFull(c.in, c.cur[:])
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// cursors has the least record on top.
type cursors []*cursor

func (h cursors) Len() int           { return len(h) }
func (h cursors) Less(i, j int) bool { return compare(h[i].cur, h[j].cur) < 0 }
func (h cursors) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)        { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// advance goes to the next record of the run on top.
func (h *cursors) advance() error {
	ok, err := (*h)[0].next()
	if err != nil {
		return err
	}
	if !ok {
		heap.Pop(h)
		return nil
	}
	heap.Fix(h, 0)
	return nil
}
