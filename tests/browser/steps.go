package browser

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chromedp/chromedp"
)

// Login opens the console at url (with its trailing slash) and signs in, until the overview is live.
func Login(ctx context.Context, url, user, password string) error {
	if err := TryLogin(ctx, url, user, password); err != nil {
		return err
	}
	return WaitLive(ctx)
}

// TryLogin opens the console and sends the form, whatever comes of it.
func TryLogin(ctx context.Context, url, user, password string) error {
	return run(ctx, "log in at "+url,
		chromedp.Navigate(url),
		chromedp.WaitVisible(chromedp.CSS(`input[name="user"]`)),
		chromedp.SendKeys(chromedp.CSS(`input[name="user"]`), user),
		chromedp.SendKeys(chromedp.CSS(`input[name="password"]`), password),
		chromedp.Click(chromedp.CSS(`button[type="submit"]`)),
	)
}

// LoginError waits for the form's complaint and returns it.
func LoginError(ctx context.Context) (string, error) {
	return ask(ctx, "read the login error", chromedp.Text(chromedp.CSS(`#login-error:not(:empty)`)))
}

// WaitLogin waits until the page asks to sign in.
func WaitLogin(ctx context.Context) error {
	return run(ctx, "wait for the login page", chromedp.WaitVisible(chromedp.CSS(`.login form`)))
}

// WaitLive waits until the page says that its feed is live.
func WaitLive(ctx context.Context) error {
	return run(ctx, "wait until the page is live", chromedp.WaitVisible(chromedp.CSS(`.link.live`)))
}

// WaitReconnecting waits until the page says that it lost the feed.
func WaitReconnecting(ctx context.Context) error {
	return run(ctx, "wait until the page reconnects", chromedp.WaitVisible(chromedp.CSS(`.link.waiting`)))
}

// Open goes to a page of the console by its path after the #, for example "/endpoints".
func Open(ctx context.Context, path string) error {
	return run(ctx, "open "+path, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location.hash = %s", quote("#"+path))))
}

// Bars are the two bars of a stream's card, in whole per cent, with its phase.
type Bars struct {
	Start, Whole int
	Phase        string
}

// ReadBars returns what the card of a stream shows now. It waits for the card.
func ReadBars(ctx context.Context, streamID string) (Bars, error) {
	card := cardOf(streamID)
	what := "read the bars of stream " + streamID
	if err := run(ctx, what, chromedp.WaitVisible(chromedp.CSS(card))); err != nil {
		return Bars{}, err
	}
	return ask(ctx, what, chromedp.Evaluate[Bars](fmt.Sprintf(`(() => {
		const card = document.querySelector(%s);
		const bar = (name) => Number(card.querySelector('[role=progressbar][aria-label="' + name + '"]').getAttribute('aria-valuenow'));
		return {Start: bar('Start set'), Whole: bar('Whole desktop'), Phase: card.dataset.phase};
	})()`, quote(card))))
}

// WaitWhole waits until the whole bar of a stream's card has reached at least percent.
func WaitWhole(ctx context.Context, streamID string, percent int) error {
	return run(ctx, fmt.Sprintf("wait until stream %s is at %d %%", streamID, percent), until(fmt.Sprintf(
		`Number(document.querySelector(%s)?.getAttribute('aria-valuenow')) >= %d`,
		quote(cardOf(streamID)+` [aria-label="Whole desktop"]`), percent)))
}

// WaitNative waits until the card of a stream says that the disk is the desktop, with both bars at their end.
func WaitNative(ctx context.Context, streamID string) error {
	if err := run(ctx, "wait until stream "+streamID+" is native",
		chromedp.WaitVisible(chromedp.CSS(cardOf(streamID)+`[data-phase="native"]`))); err != nil {
		return err
	}
	b, err := ReadBars(ctx, streamID)
	if err == nil && (b.Start != 100 || b.Whole != 100) {
		err = fmt.Errorf("browser: stream %s is native, but its bars stand at %d %% and %d %%", streamID, b.Start, b.Whole)
	}
	return err
}

// Approve approves a pending device, named as the page names it, through the question on the page that is open, and
// waits until it does not wait any more.
func Approve(ctx context.Context, device string) error {
	button := fmt.Sprintf(`button[aria-label=%s]`, quote("Approve "+device))
	return run(ctx, "approve "+device,
		chromedp.WaitVisible(chromedp.CSS(button)),
		chromedp.Click(chromedp.CSS(button)),
		chromedp.WaitVisible(chromedp.CSS(`dialog[open]`)),
		chromedp.Click(chromedp.CSS(`dialog[open] .button.primary`)),
		chromedp.WaitNotPresent(chromedp.CSS(`dialog`)),
		chromedp.WaitNotPresent(chromedp.CSS(button)))
}

func cardOf(streamID string) string { return fmt.Sprintf(`[data-stream=%s]`, quote(streamID)) }

// quote writes a string for both JavaScript and CSS.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(b)
}

// Gone waits until a stream has no card any more.
func Gone(ctx context.Context, streamID string) error {
	return run(ctx, "wait until stream "+streamID+" is gone", chromedp.WaitNotPresent(chromedp.CSS(cardOf(streamID))))
}
