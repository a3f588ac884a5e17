package link

import (
	"context"
	"fmt"
	"net"
	"time"
)

// A Break is the way in which a link is cut.
type Break int

const (
	// Silent is a pulled cable: nothing arrives and nobody is told. Open
	// connections stall, and go on after Restore where they were; new ones
	// hang.
	Silent Break = iota
	// Reset is a server that went away: open connections are reset and new
	// ones refused.
	Reset
)

// Cut breaks the link until Restore. Cutting a link that is cut already by
// Silent with Reset resets and refuses; otherwise a second cut changes nothing.
func (l *Link) Cut(how Break) {
	l.gate.close()
	if how != Reset {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuses = true
	l.closeListenerLocked()
	for p := range l.live {
		p.cancel()
	}
}

// Restore makes a cut link whole. It fails if somebody has taken the link's
// address while it was refusing; the link then stays cut.
func (l *Link) Restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("restore the link at %v: %w", l.addr, net.ErrClosed)
	}
	if l.refuses {
		listener, err := net.Listen("tcp", l.addr.String())
		if err != nil {
			return fmt.Errorf("restore the link at %v: %w", l.addr, err)
		}
		l.listener, l.refuses = listener, false
	}
	l.up.resume()
	l.down.resume()
	l.gate.open()
	return nil
}

// Stall cuts the link silently for d. It returns early, with the link whole,
// when ctx is done.
func (l *Link) Stall(ctx context.Context, d time.Duration) error {
	l.Cut(Silent)
	werr := sleepUntil(ctx, time.Now().Add(d))
	if err := l.Restore(); err != nil {
		return err
	}
	return werr
}
