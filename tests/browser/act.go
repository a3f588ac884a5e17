package browser

import (
	"context"
	"fmt"

	"github.com/chromedp/chromedp"
)

// Wait waits until something is visible.
func Wait(ctx context.Context, selector string) error {
	return run(ctx, "wait for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// WaitGone waits until nothing matches any more.
func WaitGone(ctx context.Context, selector string) error {
	return run(ctx, "wait until "+selector+" is gone", chromedp.WaitNotPresent(chromedp.CSS(selector)))
}

// WaitText waits until something that matches contains a text.
func WaitText(ctx context.Context, selector, text string) error {
	return run(ctx, fmt.Sprintf("wait for %q in %s", text, selector), until(fmt.Sprintf(
		`[...document.querySelectorAll(%s)].some((e) => e.textContent.includes(%s))`, quote(selector), quote(text))))
}

// Click clicks on the first thing that matches.
func Click(ctx context.Context, selector string) error {
	return run(ctx, "click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type writes into a field.
func Type(ctx context.Context, selector, text string) error {
	return run(ctx, "type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Focus puts the keyboard's focus on something.
func Focus(ctx context.Context, selector string) error {
	return run(ctx, "focus "+selector, chromedp.Focus(chromedp.CSS(selector)))
}

// Press sends keys to what has the focus.
func Press(ctx context.Context, keys string) error {
	return run(ctx, fmt.Sprintf("press %q", keys), chromedp.KeyEvent(keys))
}

// Reload loads the page again.
func Reload(ctx context.Context) error { return run(ctx, "reload", chromedp.Reload()) }
