package postgres

import (
	"context"
	"time"

	"github.com/lib/pq"
)

// Channels of notifications. A payload is an id and nothing else.
const (
	// DeviceChanged carries a device's id: its state, certificates or rights changed.
	DeviceChanged = "looming_device"
	// ProgressChanged carries the id of a device that said something about itself.
	ProgressChanged = "looming_progress"
	// DesktopChanged carries a CVD's id: a snapshot, or an assignment, came or went.
	DesktopChanged = "looming_desktop"
)

// Heard is what Listen got.
type Heard struct {
	Channel, Payload string
	// Lost means that anything may have been missed.
	Lost bool
	// Up says whether notifications arrive now.
	Up bool
}

// Listen calls got for what is notified on the channels until ctx ends. It connects again by itself; got hears Lost
// when the connection breaks, and again once it is back. got must be quick.
func (db *DB) Listen(ctx context.Context, got func(Heard), channels ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan pq.ListenerEventType, 16)
	l := pq.NewListener(db.dsn, 100*time.Millisecond, 5*time.Second, func(event pq.ListenerEventType, _ error) {
		select {
		case events <- event:
		case <-ctx.Done():
		}
	})
	defer l.Close()
	ended := make(chan error, 1)
	go func() { ended <- subscribe(l, channels) }() // ends when l is closed at the latest
	subscribed, connected := false, false
	lost := func() { got(Heard{Lost: true, Up: subscribed && connected}) }
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			if err != nil {
				return fault("listen", err)
			}
			subscribed = true
			lost() // what came before the subscription was missed
		case event := <-events:
			connected = event == pq.ListenerEventConnected || event == pq.ListenerEventReconnected
			lost()
		case n := <-l.Notify: // nil after a reconnection
			if n != nil {
				got(Heard{Channel: n.Channel, Payload: n.Extra, Up: subscribed && connected})
			}
		case <-time.After(time.Minute):
			_ = l.Ping() // notices a dead connection; the event says the rest
		}
	}
}

func subscribe(l *pq.Listener, channels []string) error {
	for _, c := range channels {
		if err := l.Listen(c); err != nil {
			return err
		}
	}
	return nil
}
