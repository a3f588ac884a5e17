package session

import (
	"fmt"
	"sync"
	"time"
)

// volumeTime is how long a question to a volume is waited for. A volume over the network may not answer for hours, and
// nothing can call the question back.
const volumeTime = 3 * time.Second

// inquiry asks a volume one question at a time. While one is unanswered nobody asks another, and who comes after
// volumeTime does not wait: the volume counts as away until it answers.
type inquiry struct {
	mu      sync.Mutex
	pending chan struct{} // closed by the answer; nil if nothing is asked
	since   time.Time
}

// ask calls do, in a goroutine that a volume that hangs keeps, and waits for it.
func (q *inquiry) ask(url string, do func()) error {
	for {
		done, mine, left := q.begin(do)
		t := time.NewTimer(left)
		select {
		case <-done:
			t.Stop()
		case <-t.C:
			return fmt.Errorf("volume %s does not answer since %s", url, q.asked().Format(time.RFC3339))
		}
		if mine {
			return nil
		}
	}
}

func (q *inquiry) begin(do func()) (done chan struct{}, mine bool, left time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending != nil {
		return q.pending, false, max(0, volumeTime-time.Since(q.since))
	}
	done = make(chan struct{})
	q.pending, q.since = done, time.Now()
	go func() {
		do()
		q.mu.Lock()
		q.pending = nil
		q.mu.Unlock()
		close(done)
	}()
	return done, true, volumeTime
}

func (q *inquiry) asked() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.since
}
