package prefetch

import (
	"context"
	"time"
)

// pacedLine is a line whose sender keeps the pace that it is told: one answer after another, in pieces, into a queue
// before the line that others share.
type pacedLine struct {
	*line
	leapt  time.Duration        // by which the clocks differ
	share  float64              // of a file's bytes that cross the line
	late   func() time.Duration // how much later this machine takes notice of what came, nil for never
	settle time.Duration        // before something is measured
	turn   chan struct{}

	// What follows is guarded by line.mu.
	asks, told float64 // the pace, as asked for and as the sender knows it
	tells      int
	limit      float64       // that the sender keeps to and tells of, 0 for none
	waited     time.Duration // the longest that a batch waited for its turn
	heard      Heard
	coming     []coming
	crossed    float64
}

// coming is a piece on its way.
type coming struct {
	at, took time.Duration // since the line was made
	n        uint64
}

func newPacedLine(mbit float64, delay time.Duration) *pacedLine {
	return &pacedLine{line: newLine(mbit, delay), share: 0.5, turn: make(chan struct{}, 1)}
}

func (l *pacedLine) Pace(rate float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks = rate
}

func (l *pacedLine) TellPace(ctx context.Context) error {
	if err := pause(ctx, l.delay/2); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = l.asks
	l.tells++
	return nil
}

func (l *pacedLine) Heard() Heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heard
	h.Clock, h.Limit = "here", l.limit
	now, left := time.Since(l.made), l.coming[:0]
	for _, c := range l.coming {
		if c.at > now {
			left = append(left, c)
			continue
		}
		if h.Pieces++; h.Awaited == 0 || c.took < h.Delay {
			h.Delay = c.took
		}
		h.Awaited++
		h.Bytes += c.n
	}
	h.Delay += l.leapt
	if l.late != nil {
		h.Delay += l.late()
	}
	l.coming, l.heard = left, Heard{}
	return h
}

// FillRange implements RangeFiller.
func (l *pacedLine) FillRange(ctx context.Context, it Item, _, n uint64) error {
	if err := l.send(ctx, n); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += n
	if l.pieces[it.Path] += n; l.pieces[it.Path] == it.Size {
		l.got = append(l.got, it.Path)
	}
	return nil
}

// Fill implements Filler.
func (l *pacedLine) Fill(ctx context.Context, batch []Item) error {
	var n uint64
	for i := range batch {
		n += batch[i].Size
	}
	if err := l.send(ctx, n); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batch {
		l.got = append(l.got, batch[i].Path)
	}
	l.bytes += n
	return nil
}

// send has the sender send n bytes of files, and returns when they are here.
func (l *pacedLine) send(ctx context.Context, n uint64) error {
	l.mu.Lock()
	pace := l.asks
	l.mu.Unlock()
	if err := pause(ctx, l.delay/2); err != nil {
		return err
	}
	l.mu.Lock()
	l.told = pace
	if l.heard.Round == 0 {
		l.heard.Round = l.delay
	}
	l.mu.Unlock()
	asked := time.Now()
	l.turn <- struct{}{}
	due := time.Now()
	l.mu.Lock()
	l.waited = max(l.waited, time.Since(asked))
	l.mu.Unlock()
	for left := float64(n)*l.share + 300; left > 0; {
		var err error
		if due, err = l.piece(ctx, &left); err != nil {
			<-l.turn
			return err
		}
	}
	<-l.turn
	return pause(ctx, time.Until(due))
}

// piece sends one piece as soon as it may, and says when it will be here.
func (l *pacedLine) piece(ctx context.Context, left *float64) (due time.Time, err error) {
	l.mu.Lock()
	rate, full := l.told, max(time.Until(l.busy), 0)-200*time.Millisecond // a connection holds so much
	if l.limit > 0 && (rate == 0 || rate > l.limit) {
		rate = l.limit
	}
	l.mu.Unlock()
	n, wait := 32768.0, full
	if rate > 0 {
		n = min(max(rate*0.002, 2048), n)
		wait = max(full, time.Duration(n/rate*float64(time.Second)))
	}
	n = min(n, *left)
	*left -= n
	if err := pause(ctx, max(wait, 0)); err != nil {
		return due, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.busy.Before(now) {
		l.busy = now
	}
	l.busy = l.busy.Add(time.Duration(n / l.rate * float64(time.Second)))
	due = l.busy.Add(l.delay / 2)
	l.coming = append(l.coming, coming{due.Sub(l.made), due.Sub(now), uint64(n)})
	l.crossed += n
	return due, nil
}

// state is how much has crossed, and how long a demand that shares the queue would wait now.
func (l *pacedLine) state() (crossed float64, queue time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crossed, max(time.Until(l.busy), 0)
}
