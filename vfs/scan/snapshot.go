package scan

import (
	"context"
	"errors"
	"fmt"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
)

// sessions is how many upload sessions a snapshot takes at most: another is begun where one expired, or where the
// server turned out to lack what it was thought to have.
const sessions = 4

// Result is a snapshot that was taken.
type Result struct {
	Snapshot cvd.Snapshot
	Tree
}

// Snapshot reads a directory, brings what the server lacks of it there, and commits. What of req is not set is filled in.
// What was read and sent when it fails is not lost: the next one goes on from there.
func Snapshot(ctx context.Context, c *remote.Client, o Options, req wire.CommitRequest) (Result, error) {
	if err := o.defaults(); err != nil {
		return Result{}, err
	}
	cache, err := openCache(o.Cache, o.CVD, o.Root)
	if err != nil {
		return Result{}, err
	}
	defer cache.close()
	if req.Taken.IsZero() {
		req.Taken = o.Now()
	}
	s := &scan{Options: o, cache: cache}
	for n := 1; ; n++ {
		res, err := s.attempt(ctx, c, req)
		if err == nil || n == sessions || !gaveUp(err) {
			return res, err
		}
		s.distrust = s.distrust || errors.Is(err, wire.ErrIncomplete)
		o.Notice(fmt.Sprintf("%v; going through everything again with another session", err))
	}
}

// gaveUp says whether another session may do better.
func gaveUp(err error) bool {
	return errors.Is(err, wire.ErrExpired) || errors.Is(err, wire.ErrIncomplete)
}

// attempt takes the snapshot within one upload session.
func (s *scan) attempt(ctx context.Context, c *remote.Client, req wire.CommitRequest) (Result, error) {
	session, err := c.Begin(ctx, s.CVD)
	if err != nil {
		return Result{}, err
	}
	s.session = session
	s.Count.Unreadable.Store(0)
	s.Count.BytesSeen.Store(0)
	s.Count.Entries.Store(0)
	if !session.Info().Latest.IsZero() {
		before, err := c.Snapshot(ctx, s.CVD, session.Info().Latest.String())
		if err == nil { // it is for showing progress only
			s.Count.BytesBefore.Store(int64(before.Bytes))
			s.Count.EntriesBefore.Store(int64(before.Files + before.Dirs))
		}
	}
	var tree Tree
	var cache *cacheWriter
	err = kept(ctx, session, func(ctx context.Context) (err error) {
		tree, cache, err = s.run(ctx)
		return err
	})
	if err != nil {
		return Result{Tree: tree}, err
	}
	s.Committing()
	req.Root, req.Unreadable = tree.Root, uint64(tree.Unreadable)
	snap, err := session.Commit(ctx, s.CVD, req)
	if err != nil {
		cache.stop()
		return Result{Tree: tree}, err
	}
	if err := cache.commit(tree.Root); err != nil {
		s.Notice(fmt.Sprintf("%v; the next snapshot reads everything again", err))
	}
	return Result{snap, tree}, nil
}

// kept runs f while the session's lease is renewed.
func kept(ctx context.Context, session *remote.Session, f func(context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := session.Keep(ctx); err != nil {
			stop(err)
		}
	}()
	err := f(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	stop(nil)
	<-done
	return err
}
