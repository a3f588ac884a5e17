package remote

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/looming-project/looming/vfs/wire"
)

// Of two server processes behind one address only one's clock is listened to, however their answers mix, until it falls
// silent.
func TestClocksDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{ear: ear{began: time.Now()}}
		conn := &countedConn{}
		conn.waited.Store(int64(time.Second))
		answer := func(clock string) { c.ear.answered(http.Header{wire.ClockHeader: {clock}}, time.Millisecond) }
		answer("a")
		for range 100 {
			time.Sleep(time.Millisecond)
			answer("b")
			c.ear.heard("a", time.Since(c.ear.began)-time.Minute, conn)
			c.ear.heard("b", time.Since(c.ear.began)+time.Minute, conn)
		}
		if h := c.Heard(); h.Clock != "a" || h.Pieces != 200 || h.Awaited != 100 || h.Delay != time.Minute {
			t.Errorf("of two clocks: %+v", h)
		}
		time.Sleep(clockRest + 1)
		c.ear.heard("b", time.Since(c.ear.began)+time.Minute, conn)
		if h := c.Heard(); h.Clock != "b" || h.Awaited != 1 || h.Delay != -time.Minute {
			t.Errorf("of the clock that is left: %+v", h)
		}
	})
}
