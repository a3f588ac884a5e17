package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/looming-project/looming/vfs/scan"
	"github.com/looming-project/looming/vfs/wire"
)

// streamed has a desktop that is shown at the root read from its backing directory, where marks say what is not here
// yet: a snapshot fetches nothing but what its user has begun to change. works are the work directories of this
// machine; the one that is the root's is no longer among those returned.
func (s *snapshotting) streamed(ctx context.Context, works []string) ([]string, error) {
	root, err := filepath.Abs(s.opts.Root)
	if err != nil {
		return works, err
	}
	if dir, err := filepath.EvalSymlinks(root); err == nil {
		root = dir
	}
	for i, work := range works {
		st, err := statusOf(ctx, work)
		if err != nil {
			return works, err
		}
		if st.Target != root {
			continue
		}
		if st.Phase == phaseStopped {
			return works, fmt.Errorf("%w: %s is streamed, but not shown now: run `looming stream %s` or the agent, and take the snapshot then", wire.ErrConflict, root, root)
		}
		if s.opts.CVD == "" {
			s.opts.CVD = st.CVD
		}
		s.opts.Root = filepath.Join(work, "backing")
		s.opts.Placeholders = scan.Streamed{Side: filepath.Join(work, stateDir), Shown: root}
		return slices.Delete(slices.Clone(works), i, i+1), nil
	}
	return works, nil
}
