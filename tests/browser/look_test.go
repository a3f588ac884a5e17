package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/console/consoletest"
	"github.com/looming-project/looming/tests/browser"
)

var pictures = flag.String("pictures", "", "directory for pictures of every page, theme and width")

// views are the places that an admin sees; each is left as shown.
var views = []struct {
	name string
	show func(ctx context.Context) error
}{
	{"overview", func(ctx context.Context) error {
		return errors.Join(browser.Open(ctx, "/"), browser.Wait(ctx, `[data-stream]`))
	}},
	{"endpoints", func(ctx context.Context) error {
		return errors.Join(browser.Open(ctx, "/endpoints"), browser.Wait(ctx, `tbody tr`))
	}},
	{"approve", func(ctx context.Context) error {
		return errors.Join(browser.Click(ctx, `[aria-label^="Approve"]`), browser.Wait(ctx, `dialog[open]`))
	}},
	{"desktops", func(ctx context.Context) error {
		return errors.Join(browser.Click(ctx, `dialog .button`), browser.Open(ctx, "/desktops"), browser.Wait(ctx, `tbody a`))
	}},
	{"desktop", func(ctx context.Context) error {
		return errors.Join(browser.Open(ctx, "/desktops/anna.weber"), browser.Wait(ctx, `.figures`), browser.Wait(ctx, `tbody tr`))
	}},
}

// TestLook: no page, in any theme and width, is wider than its window, has a control without a name or text that is
// hard to read, or makes the browser complain.
func TestLook(t *testing.T) {
	now := time.Now()
	f := consoletest.New(consoletest.Sample(now))
	f.Keep("anna.weber", consoletest.Snapshots("anna.weber", now)...)
	url := serve(t, f)
	everyLook(t, func(t *testing.T, look string, width int64) {
		ctx := browser.Start(t)
		complaints := browser.Listen(t, ctx)
		must(t, browser.Size(ctx, width, 900))
		must(t, browser.Scheme(ctx, look))
		must(t, browser.TryLogin(ctx, url, consoletest.User, "wrong"))
		_, err := browser.LoginError(ctx)
		must(t, err)
		check(t, ctx, "login", look, width)
		must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
		for _, v := range views {
			must(t, v.show(ctx))
			check(t, ctx, v.name, look, width)
		}
		for _, c := range complaints.All() {
			if !refusedLogin(c) {
				t.Errorf("the browser complains: %s", c)
			}
		}
	})
}

// TestLookEmpty: a new installation says what to do next, with the command.
func TestLookEmpty(t *testing.T) {
	f := consoletest.New(console.Model{})
	url := serve(t, f)
	everyLook(t, func(t *testing.T, look string, width int64) {
		ctx := browser.Start(t)
		must(t, browser.Size(ctx, width, 900))
		must(t, browser.Scheme(ctx, look))
		must(t, browser.Login(ctx, url, consoletest.User, consoletest.Password))
		for path, command := range map[string]string{"/": "looming enroll https://", "/endpoints": "looming enroll https://", "/desktops": "looming snapshot"} {
			must(t, browser.Open(ctx, path))
			must(t, browser.WaitText(ctx, ".command code", command))
			check(t, ctx, "empty-"+strings.TrimPrefix(path, "/"), look, width)
		}
	})
}

func everyLook(t *testing.T, test func(t *testing.T, look string, width int64)) {
	for _, look := range []string{"light", "dark"} {
		for _, width := range []int64{1440, 390} {
			t.Run(fmt.Sprintf("%s-%d", look, width), func(t *testing.T) { test(t, look, width) })
		}
	}
}

// refusedLogin is the browser's note of the 401s that the test itself asks for.
func refusedLogin(complaint string) bool {
	return strings.Contains(complaint, "status of 401")
}

func check(t *testing.T, ctx context.Context, name, look string, width int64) {
	t.Helper()
	faults, err := browser.Faults(ctx)
	must(t, err)
	for _, fault := range faults {
		t.Errorf("%s: %s", name, fault)
	}
	if *pictures == "" {
		return
	}
	png, err := browser.Picture(ctx, width)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(*pictures, fmt.Sprintf("%s-%s-%d.png", name, look, width)), png, 0o644))
}
