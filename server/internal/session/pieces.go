package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// clock is what pieces are stamped with: since when, and a name that no other process's has.
type clock struct {
	name  string
	since time.Time
}

func newClock() clock {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return clock{hex.EncodeToString(b[:]), time.Now()}
}

// Clock is the name of the clock that pieces are stamped with.
func (s *Service) Clock() string { return s.clock.name }

// sender writes an answer at its pace.
type sender struct {
	ctx   context.Context
	to    *pace
	flush func() // or nil
	line  *line
	how   Pace
	clock clock
	buf   []byte
}

func newSender(ctx context.Context, s *Service, l *line, how Pace, to *pace) *sender {
	w := &sender{ctx: ctx, to: to, line: l, how: how, clock: s.clock}
	if f, ok := to.w.(http.Flusher); ok {
		w.flush = f.Flush
	}
	return w
}

// Write implements io.Writer.
func (w *sender) Write(b []byte) (n int, err error) {
	if w.how.Demand && w.how.limit() > 0 {
		defer w.line.demanded()()
	}
	for n < len(b) && err == nil {
		var k int
		if at := w.line.rate(&w.how); at > 0 || w.how.Pieces {
			k, err = w.piece(b[n:], at)
		} else {
			k, err = w.to.Write(b[n:])
			w.line.spend(k)
		}
		n += k
	}
	return n, err
}

// piece writes the first bytes of b, as many as go at once.
func (w *sender) piece(b []byte, at float64) (int, error) {
	b = b[:min(len(b), pieceOf(at))]
	if err := w.await(at, len(b)+pieceExtra); err != nil {
		return 0, err
	}
	w.buf = w.buf[:0]
	if w.how.Pieces {
		w.buf = wire.AppendPieceHead(w.buf, len(b), time.Since(w.clock.since))
	}
	w.buf = append(w.buf, b...)
	if _, err := w.to.Write(w.buf); err != nil {
		return 0, err
	}
	if at > 0 && w.flush != nil {
		w.flush()
	}
	return len(b), nil
}

// await waits until n bytes may go.
func (w *sender) await(at float64, n int) error {
	if !w.how.Demand {
		waited, err := w.line.yield(w.ctx)
		w.to.rest(waited)
		if err != nil {
			return err
		}
	}
	waited, err := w.line.wait(w.ctx, at, n)
	w.to.rest(waited)
	return err
}
