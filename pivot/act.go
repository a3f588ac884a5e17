package pivot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/looming-project/looming/vfs/durable"
)

// Between two looks for programs in the mount, the time doubles from the shortest to the longest.
const (
	shortestPause = 200 * time.Millisecond
	longestPause  = 3 * time.Second
)

// do executes one action and tells what came of it. Once the mount is gone ctx no longer counts: what is left takes
// milliseconds, and a desktop that is nowhere would be worse than a late answer.
func (sh *shell) do(ctx context.Context, s State, a Action) Event {
	if sh.unmounted || s.Step == Releasing {
		ctx = context.WithoutCancel(ctx)
	}
	if err := ctx.Err(); err != nil {
		return sh.failed(a, context.Cause(ctx))
	}
	switch a {
	case Look:
		var err error
		if sh.facts, sh.mark, err = look(sh.layout); err != nil {
			return sh.failed(a, err)
		}
		return Event{Kind: Done, Facts: sh.facts}
	case FindHolders:
		return sh.findHolders(ctx)
	case Unmount:
		return sh.unmount(ctx)
	}
	err := sh.act(ctx, s, a)
	if errors.Is(err, errors.ErrUnsupported) {
		sh.cause = err
		return Event{Kind: Unsupported}
	}
	if err != nil {
		return sh.failed(a, err)
	}
	return Event{Kind: Done}
}

// act executes the actions that succeed or fail and no more.
func (sh *shell) act(ctx context.Context, s State, a Action) error {
	l := sh.layout
	switch a {
	case Sweep:
		return sh.sweep()
	case Detach:
		return unmount(ctx, l.Target, true)
	case Sync:
		if sh.Sync != nil {
			return sh.Sync.Sync()
		}
		return durable.SyncFS(l.Backing)
	case Pause:
		return sh.wait(ctx)
	case Quiesce:
		return sh.hold(ctx)
	case Resume:
		sh.letGo()
		return nil
	case Verify:
		return sh.Verify.Verify(ctx, l.Backing)
	case WriteMark:
		return sh.newWork(s.Goal)
	case Exchange:
		return durable.RenameExchange(l.Backing, l.Target)
	case RenameOver:
		return durable.Rename(l.Backing, l.Target)
	case RenameTo:
		return durable.RenameNoReplace(l.Backing, l.Target)
	case SetAside:
		return durable.Rename(l.Backing, l.Old)
	case RecallOld:
		return durable.Rename(l.Old, l.Backing)
	case RemoveOld:
		return durable.Remove(l.Backing)
	case Retire:
		return sh.retire()
	default:
		return fmt.Errorf("no such action: %d", a)
	}
}

func (sh *shell) failed(a Action, err error) Event {
	sh.cause = fmt.Errorf("%s: %s: %w%s", sh.layout.Target, a, err, remedy(sh.layout, err))
	if sh.unmounted {
		sh.cause = fmt.Errorf("%w; the virtual file system is unmounted already, run again to go on", sh.cause)
	}
	return Event{Kind: Error}
}

func (sh *shell) findHolders(ctx context.Context) Event {
	holders, err := sh.Holders.Holders(ctx, sh.layout.Target)
	if err != nil {
		return sh.failed(FindHolders, err)
	}
	sh.holders = holders
	if len(holders) > 0 {
		return Event{Kind: Busy}
	}
	return Event{Kind: Done}
}

// unmount takes the mount away. A program that came at the last moment makes it busy, which is no failure. What the
// tools say of the reason differs; whether the mount is gone, and whether somebody is in it, can be seen.
func (sh *shell) unmount(ctx context.Context) Event {
	var err error
	if sh.Unmount != nil {
		err = sh.Unmount.Unmount(ctx)
	} else {
		err = unmount(ctx, sh.layout.Target, false)
	}
	at, lookErr := mountsAt(sh.layout.Target)
	if lookErr == nil && len(at) == 0 {
		sh.unmounted = true
		return Event{Kind: Done}
	}
	if err == nil {
		err = fmt.Errorf("it is still mounted: %w", ErrStillMounted)
	}
	holders, findErr := sh.Holders.Holders(ctx, sh.layout.Target)
	switch {
	case findErr == nil && len(holders) > 0:
		sh.holders = holders
	case isBusy(err):
		sh.holders = []Holder{{Use: Unseen, Path: sh.layout.Target}}
	default:
		return sh.failed(Unmount, err)
	}
	return Event{Kind: Busy}
}

// wait says for whom, then waits a little.
func (sh *shell) wait(ctx context.Context) error {
	sh.report(Progress{Step: Pausing, Holders: sh.holders})
	timer := time.NewTimer(sh.pause)
	defer timer.Stop()
	sh.pause = min(2*sh.pause, longestPause)
	select {
	case <-ctx.Done():
		return fmt.Errorf("gave up waiting for %s: %w", listHolders(sh.holders), context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}
