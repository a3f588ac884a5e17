package browser

import (
	"context"

	"github.com/chromedp/chromedp"
)

// settled waits for fonts and transitions to come to rest.
const settled = `document.fonts.ready.then(() => Promise.all(document.getAnimations()
	.filter((a) => a instanceof CSSTransition).map((a) => a.finished.catch(() => 0))))`

// Picture is the whole page as a PNG, as tall as it is; under a dialog, the window.
func Picture(ctx context.Context, width int64) ([]byte, error) {
	if err := run(ctx, "let the page come to rest", chromedp.Evaluate[chromedp.Void](settled, chromedp.EvalAwaitPromise)); err != nil {
		return nil, err
	}
	height, err := ask(ctx, "measure the page", chromedp.Evaluate[int64](
		`document.querySelector('dialog[open]') ? 0 : document.scrollingElement.scrollHeight`))
	if err != nil {
		return nil, err
	}
	if err := Size(ctx, width, max(900, height)); err != nil {
		return nil, err
	}
	png, err := ask(ctx, "take a picture", chromedp.CaptureScreenshot())
	if err != nil {
		return nil, err
	}
	return png, Size(ctx, width, 900)
}

// Faults looks at the page as it is and says what is wrong with it: wider than the window, controls that have no name
// for a screen reader, text with less contrast than WCAG 2.2 AA asks (4.5:1, large text 3:1).
func Faults(ctx context.Context) ([]string, error) {
	return ask(ctx, "look for faults", chromedp.Evaluate[[]string](faultFinder))
}

const faultFinder = `(() => {
	const faults = [];
	const root = document.scrollingElement;
	if (root.scrollWidth > innerWidth) faults.push('wider than the window: ' + root.scrollWidth + ' > ' + innerWidth);
	const name = (e) => e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.title;
	const where = (e) => e.tagName.toLowerCase() + '.' + (e.getAttribute('class') || '').trim().replaceAll(/\s+/g, '.') + ' "' + e.textContent.trim().slice(0, 40) + '"';
	for (const e of document.querySelectorAll('a, button, input, summary, [role=progressbar], [role=img]')) {
		if (!name(e)) faults.push('no name: ' + where(e));
	}
	const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
	const rgba = (c) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = c;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const over = (c, under) => [0, 1, 2].map((i) => (c[i] * c[3] + under[i] * (255 - c[3])) / 255).concat(255);
	const ground = (e) => {
		if (!e) return [255, 255, 255, 255];
		const c = rgba(getComputedStyle(e).backgroundColor);
		return c[3] === 255 ? c : over(c, ground(e.parentElement));
	};
	const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const seen = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || seen.has(e) || e.closest(':disabled, noscript') || !e.checkVisibility({opacityProperty: true})) continue;
		seen.add(e);
		const style = getComputedStyle(e), under = ground(e);
		const a = light(over(rgba(style.color), under)), b = light(under);
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const size = parseFloat(style.fontSize);
		const need = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
		if (ratio < need) faults.push('contrast ' + ratio.toFixed(2) + ': ' + where(e));
	}
	return faults;
})()`
