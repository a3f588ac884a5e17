package scan

import (
	"context"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// ask notes that the server has to be asked about the content of a job.
func (k *worker) ask(j *job, f *facts) {
	j.known = f
	k.known = append(k.known, j)
}

// confirm asks about contents of an uncommitted stat cache, and about those of placeholders. Files whose
// chunks are not all on the server are read.
func (k *worker) confirm(ctx context.Context) error {
	if len(k.known) == 0 {
		return nil
	}
	jobs := k.known
	k.known = nil
	var ids []chunk.ID
	ends := make([]int, len(jobs))
	for i, j := range jobs {
		ids = appendContent(ids, j.known)
		ends[i] = len(ids)
	}
	haves, err := k.ship.s.Have(ctx, ids)
	if err != nil {
		k.known = jobs // to be handed back
		return err
	}
	from := 0
	for i, j := range jobs {
		there := true
		for _, h := range haves[from:ends[i]] {
			there = there && h == wire.Present
		}
		from = ends[i]
		if err := k.confirmed(ctx, j, there); err != nil {
			k.known = append(k.known, jobs[i+1:]...)
			return err
		}
	}
	return k.bring(ctx) // what had to be read
}

func (k *worker) confirmed(ctx context.Context, j *job, there bool) error {
	switch {
	case there:
		if j.known != &j.facts {
			j.facts = *j.known
		}
		j.done(nil)
	case j.held != nil:
		j.done(errHeldLost)
	default:
		j.known = nil
		return k.file(ctx, j)
	}
	return nil
}

// appendContent appends the chunks of a file.
func appendContent(ids []chunk.ID, f *facts) []chunk.ID {
	if f.size <= cvd.InlineMax {
		return ids
	}
	if len(f.content.Chunks) == 0 {
		return append(ids, f.content.ID)
	}
	for _, r := range f.content.Chunks {
		ids = append(ids, r.ID)
	}
	if f.content.Listed {
		for _, r := range f.refs {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
