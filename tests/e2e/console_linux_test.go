package e2e

import (
	"testing"
	"time"

	"github.com/looming-project/looming/tests/browser"
	"github.com/looming-project/looming/tools/wan/link"
)

// TestConsole: an admin watches in a real browser how a real stream goes on:
// the bars move to the end.
func TestConsole(t *testing.T) {
	r := serving(t)
	_, addr := r.line(link.Options{Down: 60 * link.Mbit, Delay: 20 * time.Millisecond})
	office, laptop := r.endpoint("office", ""), r.endpoint("laptop", addr)
	root := r.plain("root", 60)
	r.snapshot(office, "desk", root)
	must(t, r.server.Assign(r.ctx, "desk", "laptop"))
	password, err := r.server.Password()
	must(t, err)
	page := browser.Start(t)
	must(t, browser.Login(page, r.server.URL()+"/", "admin", password))
	complaints := browser.Listen(t, page) // before the login it was refused what it asked
	target := r.path("target")
	p := r.stopped(laptop.Stream(r.ctx, "desk", target))
	id := "laptop:" + target
	first, err := browser.ReadBars(page, id)
	must(t, err)
	must(t, browser.WaitWhole(page, id, 30))
	middle, err := browser.ReadBars(page, id)
	must(t, err)
	if first.Whole >= middle.Whole || middle.Phase != "filling" {
		t.Errorf("the bar of the whole was at %d %%, then at %d %% with phase %q: it must move while the desktop fills", first.Whole, middle.Whole, middle.Phase)
	}
	must(t, browser.WaitNative(page, id))
	_, err = p.Wait(r.ctx)
	must(t, err)
	r.same(root, target)
	for _, c := range complaints.All() {
		t.Errorf("the page complains: %s", c)
	}
}
