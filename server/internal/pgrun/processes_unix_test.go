//go:build unix

package pgrun

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A system that does not tell its processes keeps nobody waiting for ever; once it does, the answer counts.
func TestProcessesHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan []int)
		c := &cluster{data: "/d", list: func(string) []int { return <-answer }}
		for range 2 {
			if err := c.waitForStragglers(t.Context()); err == nil || !strings.Contains(err.Error(), "/proc") {
				t.Errorf("while it hangs: %v", err)
			}
		}
		answer <- nil // to the one look that is under way
		if err := c.waitForStragglers(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// While processes of a dead Postgres stay, the log says what is waited for.
func TestStragglersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		begun := time.Now()
		c := &cluster{
			data: t.TempDir(), log: slog.New(slog.NewTextHandler(&log, nil)),
			list: func(string) []int {
				if time.Since(begun) < settle/2 {
					return []int{4711}
				}
				return nil
			},
		}
		_, err := c.upAloud(t.Context()) // there are no binaries
		if err == nil || !strings.Contains(log.String(), "waiting for the processes of the last one") {
			t.Errorf("%v; the log: %s", err, log.String())
		}
	})
}
