package browser_test

import (
	"errors"
	"testing"
	"time"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/console/consoletest"
	"github.com/looming-project/looming/tests/browser"
)

// TestTables: search, order and paging are the server's, stay in the address, and follow the live model.
func TestTables(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	must(t, browser.Open(ctx, "/desktops"))
	must(t, browser.WaitText(ctx, ".pager", "1 – 25 of 28"))
	must(t, browser.Click(ctx, `.pager-buttons button:last-child`))
	must(t, browser.WaitText(ctx, ".pager", "26 – 28 of 28"))
	must(t, browser.Click(ctx, `th:nth-child(3) button`)) // snapshots: most first, from the first page
	must(t, browser.WaitText(ctx, ".pager", "1 – 25 of 28"))
	must(t, browser.Wait(ctx, `th:nth-child(3)[aria-sort="descending"]`))
	must(t, browser.WaitText(ctx, "tbody tr:first-child", "archive-scan"))
	must(t, browser.Type(ctx, `input[type="search"]`, "physics"))
	must(t, browser.WaitText(ctx, ".pager", "1 – 3 of 3"))
	must(t, browser.Reload(ctx))
	must(t, browser.WaitText(ctx, ".pager", "1 – 3 of 3"))
	f.Update(func(m *console.Model) {
		m.Desktops = append(m.Desktops, console.Desktop{Name: "lab-physics-99"})
	})
	must(t, browser.WaitText(ctx, "tbody", "lab-physics-99"))
}

// TestKeyboard: a question opens, is left with Escape and gives the focus back, all without a mouse.
func TestKeyboard(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	const button = `[aria-label="Approve pc2101.example.org"]`
	must(t, browser.Wait(ctx, button))
	must(t, browser.Focus(ctx, button))
	must(t, browser.Press(ctx, "\r"))
	must(t, browser.Wait(ctx, `dialog[open]`))
	must(t, browser.Press(ctx, "\u001b"))
	must(t, browser.WaitGone(ctx, `dialog`))
	must(t, browser.Wait(ctx, button+`:focus`))
	if log := f.Log(); len(log) != 0 {
		t.Errorf("leaving the question did %q", log)
	}
}

// TestTheme: what is chosen stays when the page is loaded again, whatever the system prefers.
func TestTheme(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Scheme(ctx, "light"))
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	must(t, browser.Wait(ctx, `html[data-theme="light"]`))
	must(t, browser.Click(ctx, `input[aria-label="Dark"]`))
	must(t, browser.Wait(ctx, `html[data-theme="dark"]`))
	must(t, browser.Reload(ctx))
	must(t, browser.Wait(ctx, `html[data-theme="dark"]`))
	must(t, browser.Click(ctx, `input[aria-label="As the system"]`))
	must(t, browser.Wait(ctx, `html[data-theme="light"]`))
}

// TestStale: while the server cannot read its state the page keeps the last figures and says that they are old.
func TestStale(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	must(t, browser.WaitWhole(ctx, consoletest.Moving, 43))
	f.Break(errors.New("database is away"))
	must(t, browser.WaitText(ctx, ".notice.bad", "figures are old"))
	must(t, browser.WaitWhole(ctx, consoletest.Moving, 43))
	f.Break(nil)
	must(t, browser.WaitGone(ctx, `.notice`))
}

// TestSignOut: signing out ends the session on the server, too.
func TestSignOut(t *testing.T) {
	f := consoletest.New(consoletest.Sample(time.Now()))
	url := serve(t, f)
	ctx := browser.Start(t)
	must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
	must(t, browser.Click(ctx, `[aria-label="Sign out"]`))
	must(t, browser.WaitLogin(ctx))
	if n := f.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	must(t, browser.Reload(ctx))
	must(t, browser.WaitLogin(ctx))
}
