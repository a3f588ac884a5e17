package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// watch ends a request that makes no progress: a link that was cut without a word.
type watch struct {
	ctx          context.Context
	cancel       context.CancelCauseFunc
	answer, idle time.Duration
	timer        *time.Timer
}

func newWatch(ctx context.Context, l Limits, r *request) *watch {
	w := &watch{answer: l.Answer + l.Dial, idle: l.Idle}
	switch {
	case r.patient:
		w.answer *= 3
	case r.prompt:
		w.answer = l.Idle + l.Dial
	}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(w.answer, func() {
		w.cancel(fmt.Errorf("%w: silence", wire.ErrUnreachable))
	})
	return w
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// sending gives the wait for an answer anew whenever a part of the body went out.
func (w *watch) sending(r io.Reader) io.ReadCloser { return &sendingBody{r, w} }

type sendingBody struct {
	r io.Reader
	w *watch
}

func (b *sendingBody) Read(p []byte) (int, error) {
	b.w.timer.Reset(b.w.answer)
	return b.r.Read(p)
}

func (*sendingBody) Close() error { return nil }

// watchedBody is an answer's body.
type watchedBody struct {
	io.ReadCloser
	w    *watch
	fail func(error) error
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.w.timer.Reset(b.w.idle)
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fail(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.w.stop()
	return b.ReadCloser.Close()
}
