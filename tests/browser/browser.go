// Package browser drives the console in a real chromium. Its steps take a chromedp context and know the page, not what
// is behind it: the same steps run over an in-test fleet and over a real server.
package browser

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience bounds every step. It is generous because machines under test are busy; steps do not wait it out.
const patience = 60 * time.Second

// Start runs a chromium with a profile of its own until the test ends and returns a context for the steps.
func Start(t testing.TB) context.Context {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "ignore-certificate-errors", "hide-scrollbars",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	options = append(options, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience))
	ctx, stopAll := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		// Cancel waits until chromium has ended, so that its profile can be removed.
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("browser: closing chromium: %v", err)
		}
		stop()
		stopAll()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("browser: chromium does not start (Debian package chromium): %v", err)
	}
	return ctx
}

// Complaints are what the page's own console reports: exceptions, refused loads, breaches of the content policy.
type Complaints struct {
	mu  sync.Mutex
	all []string
}

// Listen collects complaints of the page in ctx until the test ends.
func Listen(t testing.TB, ctx context.Context) *Complaints {
	c := &Complaints{}
	ctx, stop := context.WithCancel(ctx)
	messages := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				c.add(fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
			}
		}
	})
	t.Cleanup(func() {
		stop()
		reading.Wait()
	})
	return c
}

func (c *Complaints) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, s)
}

// All returns what came so far.
func (c *Complaints) All() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.all...)
}

// Size sets the window; below 600 it is a phone.
func Size(ctx context.Context, width, height int64) error {
	return run(ctx, "set the window", func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
		})
		return none, err
	})
}

// Scheme sets what the system prefers: light or dark.
func Scheme(ctx context.Context, scheme string) error {
	return run(ctx, "set the colour scheme", func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return none, err
	})
}

// run does steps within patience and says which they were.
func run(ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) error {
	_, err := ask(ctx, what, chromedp.Steps(steps...))
	return err
}

// ask does one action within patience and returns what it found.
func ask[T any](ctx context.Context, what string, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		return v, fmt.Errorf("browser: %s: %w", what, err)
	}
	return v, nil
}

// until waits in the page for a JavaScript condition. The page's policy forbids what chromedp.Poll would do.
func until(condition string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		"new Promise((done) => { const look = () => (%s) ? done() : setTimeout(look, 30); look(); })", condition), chromedp.EvalAwaitPromise)
}
