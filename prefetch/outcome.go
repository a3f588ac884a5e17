package prefetch

import (
	"errors"
	"time"
)

// finished takes the result of a batch.
func (s *run) finished(res *result) {
	s.flying--
	partial, some := asPartial(res.err)
	switch {
	case res.err == nil:
		s.window.finish(res.ticket, res.began, time.Now())
		s.well()
		s.credit(res.job)
		return
	case errors.Is(res.err, ErrHere):
		s.credit(res.job)
	case some && res.large == nil && len(partial.Errs) == len(res.items):
		s.sort(res, partial.Errs)
	case passing(res.err):
		s.queue.again = append(s.queue.again, res.job)
		s.trouble(res.err, res.epoch, waitMax)
	default:
		s.whole(res)
	}
	s.window.cancel(res.ticket)
}

// sort takes a batch of which some items failed, for reasons of their own.
func (s *run) sort(res *result, errs []error) {
	var here, away []Item
	var cut error
	for i, err := range errs {
		switch {
		case err == nil:
			here = append(here, res.items[i])
		case passing(err):
			away, cut = append(away, res.items[i]), err
		default:
			s.failed(res.items[i], res.stage, res.tries, err)
		}
	}
	if len(here) > 0 {
		s.well()
		s.credit(res.of(here))
	}
	if len(away) > 0 {
		s.queue.again = append(s.queue.again, res.of(away))
		s.trouble(cut, res.epoch, waitMax)
	}
}

// whole takes a batch that failed as a whole: its halves are tried, so that in the end what is wrong stands alone and
// waits for the end. If everything fails (a full disk), the waits between tries grow, and the plan stands still.
func (s *run) whole(res *result) {
	longest := waitMax
	if s.queue.ended && len(s.queue.have) == 0 {
		longest = waitLast
	}
	switch {
	case res.large != nil:
		res.large.err = cause(res.err)
		s.queue.stopCutting(res.large)
		s.landed(res.large)
	case len(res.items) == 1:
		s.failed(res.items[0], res.stage, res.tries, cause(res.err))
	default:
		h := res.halves()
		s.queue.again = append(s.queue.again, h[1], h[0])
	}
	s.trouble(res.err, res.epoch, longest)
}

// well says that something came: whatever was wrong has passed.
func (s *run) well() {
	if s.wait.fails > 0 {
		s.wait.reset()
		s.held.Stop()
		s.holding, s.show.Err = false, nil
	}
}

// trouble holds everything back for a while.
func (s *run) trouble(err error, epoch int, longest time.Duration) {
	s.show.Err = err
	if epoch == s.epoch {
		s.epoch++
		s.hold(longest)
	}
}

func (s *run) hold(longest time.Duration) {
	s.holding = true
	s.held.Reset(s.wait.next(longest))
}

// credit counts what a job brought.
func (s *run) credit(j *job) {
	if j.large == nil {
		for i := range j.items {
			s.show.done(j.stage, &j.items[i], j.items[i].fresh())
		}
		return
	}
	s.show.piece(j.stage, j.large.credit(j.n))
	s.landed(j.large)
}

// landed takes a piece of a large file that is not under way any more.
func (s *run) landed(f *file) {
	f.flying--
	switch {
	case f.flying > 0:
	case f.err != nil:
		s.show.undo(f.stage, f.counted)
		s.failed(f.item, f.stage, f.tries, f.err)
	case f.here == f.item.bytes():
		s.show.done(f.stage, &f.item, 0)
	}
}

// failed puts an item off to the end, or gives it up.
func (s *run) failed(it Item, stage Stage, tries int, err error) {
	if tries++; tries >= maxTries {
		s.missing.add(it.Path, err)
		return
	}
	s.late = append(s.late, lateItem{it, stage, tries, err})
}

// tryLate queues what failed for another try, after a wait.
func (s *run) tryLate() bool {
	if len(s.late) == 0 {
		return false
	}
	s.show.Err = s.late[0].err
	s.hold(waitLast)
	for _, l := range s.late {
		s.queue.repeat(l)
	}
	s.late = nil
	return true
}
