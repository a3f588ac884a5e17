package scan

import (
	"context"
	"time"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// work is what the workers share.
type work struct {
	ship  *shipper
	count *Counters
	hook  Placeholders
	// first: the desktop has no snapshot yet.
	first bool
	cut   func(name string, head []byte) chunk.Cut
	jobs  chan *job
	// slabs are full ones on their way to a worker, spare empty ones: both have room for all of them.
	slabs, spare chan *slab
	// splits are buffers for large files: as many are cut at once.
	splits chan []byte
	// finish is closed when the assembler is through.
	finish chan struct{}
	now    func() time.Time
}

// worker does jobs. It gathers small files in its slab, so that it asks about many at once.
type worker struct {
	*work
	sl *slab
	// large are files in the slab that may have to be cut, known jobs about which the server is asked.
	large   []filed
	known   []*job
	scratch scratch
	// failed is what ended the scan, as far as this worker is concerned.
	failed error
}

// filed is a job with its bytes in the slab.
type filed struct {
	j      *job
	off, n int
}

// run works until there are no jobs any more and the assembler is through. After an error it only hands back the
// jobs that are left: the walker ends when fail is called.
func (w *work) run(ctx context.Context, fail func(error)) {
	k := &worker{work: w, sl: &slab{}}
	for jobs, finished := w.jobs, false; !finished; {
		var err error
		select {
		case j, ok := <-jobs:
			switch {
			case !ok:
				jobs = nil
			case k.failed != nil:
				j.undone(k.failed)
			default:
				err = k.gather(ctx, j)
			}
		case sl := <-w.slabs:
			if k.failed == nil {
				err = k.carry(ctx, sl)
			}
		case <-w.finish:
			finished = jobs == nil
			if !finished { // the assembler gave up
				for j := range jobs {
					j.undone(context.Canceled)
				}
				jobs = nil
			}
			for len(w.slabs) > 0 && k.failed == nil && err == nil {
				err = k.carryMore(ctx)
			}
		}
		if err != nil {
			k.failed = err
			k.drop(err)
			fail(err)
		}
	}
}

// carryMore brings one of the slabs that wait, if another worker is not faster.
func (k *worker) carryMore(ctx context.Context) error {
	select {
	case sl := <-k.slabs:
		return k.carry(ctx, sl)
	default:
		return nil
	}
}

// carry brings a slab that somebody else filled.
func (k *worker) carry(ctx context.Context, sl *slab) error {
	err := k.ship.bring(ctx, sl, &k.scratch)
	sl.reset()
	k.spare <- sl // has room for all of them
	return err
}

// handOver gives the slab to another worker, if there is an empty one instead; otherwise it brings it itself. It
// never waits for other workers, who may be in the same place.
func (k *worker) handOver(ctx context.Context) error {
	select {
	case sl := <-k.spare:
		k.slabs <- k.sl // has room for all of them
		k.sl = sl
		return nil
	default:
		return k.bring(ctx)
	}
}

// drop hands back the jobs whose bytes are in the slab.
func (k *worker) drop(err error) {
	for _, f := range k.large {
		f.j.undone(err)
	}
	for _, j := range k.known {
		j.undone(err)
	}
	k.large, k.known = nil, nil
	k.sl.reset()
}

// gather does j and what else is there already, until the slab is full.
func (k *worker) gather(ctx context.Context, j *job) error {
	for {
		if err := k.do(ctx, j); err != nil {
			return err
		}
		if k.sl.room() < slabSize/8 || len(k.known) >= wire.BatchMax/8 {
			break
		}
		var ok bool
		select {
		case j, ok = <-k.jobs:
		default:
		}
		if !ok {
			break
		}
	}
	return k.bring(ctx)
}

// do does one job, or takes it into the slab. Errors of the job are the job's; what it returns ends the scan.
func (k *worker) do(ctx context.Context, j *job) error {
	if ctx.Err() != nil {
		j.undone(ctx.Err())
		return ctx.Err()
	}
	switch {
	case j.known != nil && j.known.content.Listed && len(j.known.refs) == 0:
		j.known = nil // its chunks cannot be asked about
		return k.file(ctx, j)
	case j.known != nil && j.known.size > cvd.InlineMax:
		k.ask(j, j.known)
		return nil
	case j.known != nil:
		j.facts = *j.known
		j.done(nil)
		return nil
	case j.st.kind() == cvd.File:
		return k.file(ctx, j)
	}
	j.done(k.special(j))
	return nil
}

// special looks into what is no regular file.
func (k *worker) special(j *job) error {
	if j.st.kind() == cvd.Symlink {
		var err error
		if j.target, err = j.n.d.readlink(j.name); err != nil {
			return err
		}
	}
	xs, err := j.n.d.xattrs(j.name)
	if err != nil {
		return err
	}
	return j.attributes(xs, k.hook)
}
