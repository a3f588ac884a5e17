package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/tree/compare"
)

// figures are what the table at the end shows.
type figures struct {
	began                  time.Time
	before                 int64 // what had crossed the line when it began
	first, program, native mark
	programName            string
	stream                 lab.Streaming
	resumed                bool
}

// mark is when something happened, and what had crossed the line by then.
type mark struct {
	after time.Duration
	bytes int64
}

func (d *demo) mark() mark {
	return mark{time.Since(d.figures.began), d.line.Stats().Down - d.figures.before}
}

func (d *demo) target() string { return filepath.Join(d.home, "desktops", d.desktop.name) }

// ready clears away the native desktop of an earlier run. One that was
// interrupted is gone on with.
func (d *demo) ready() error {
	target := d.target()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(lab.Work(target)); err == nil {
		d.figures.resumed = true
		return nil
	}
	d.screen.busy("removing the desktop of the last run")
	if err := lab.Unmount(target); err != nil {
		return err
	}
	return os.RemoveAll(target)
}

// stream shows the desktop on the laptop until it is native.
func (d *demo) stream(ctx context.Context) error {
	d.screen.step("laptop streams it over 20 Mbit/s with 50 ms")
	if err := d.ready(); err != nil {
		return err
	}
	target := d.target()
	d.screen.item("to", "%s", target)
	if d.figures.resumed {
		d.screen.item("note", "the last run was interrupted: this goes on from what is there")
	}
	f := &d.figures
	f.began, f.before = time.Now(), d.line.Stats().Down
	p, err := d.laptop.Stream(ctx, d.desktop.name, target)
	if err != nil {
		return fmt.Errorf("stream to %s: %w", target, err)
	}
	stop := d.screen.watch(ctx, func() (lab.Streaming, error) { return d.laptop.Status(ctx, target) })
	err = d.use(ctx, target)
	if err == nil {
		f.stream, err = lab.EndStream(ctx, p)
	}
	stop()
	if err != nil {
		return errors.Join(fmt.Errorf("stream to %s: %w", target, err), p.Interrupt())
	}
	f.native = d.mark()
	d.screen.event(f.native, "native: every file is here, the mount is gone, the directory is the desktop")
	return nil
}

// use opens files and runs programs while hardly anything is here.
func (d *demo) use(ctx context.Context, target string) error {
	d.screen.event(d.mark(), "mounted: the whole desktop can be seen")
	text, err := os.ReadFile(filepath.Join(target, d.desktop.first))
	if err != nil {
		return err
	}
	d.figures.first = d.mark()
	d.screen.event(d.figures.first, "opened %s: %s", d.desktop.first, excerpt(text))
	for _, p := range d.desktop.programs {
		out, err := lab.Run(ctx, lab.Within(target, p.name, p.args...))
		if err != nil {
			return fmt.Errorf("run %s in the desktop: %w", p.name, err)
		}
		m := d.mark()
		if d.figures.programName == "" {
			d.figures.program, d.figures.programName = m, p.name
		}
		d.screen.event(m, "ran %s: %s", p.name, excerpt(out))
	}
	return nil
}

// excerpt is the beginning of a text, fit to print.
func excerpt(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = printable(line)
	if r := []rune(line); len(r) > 50 {
		line = string(r[:49]) + "…"
	}
	return line
}

// printable keeps names and contents, which are any bytes, from moving the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}

// ownership is a difference that an ordinary user cannot help.
var ownership = regexp.MustCompile(`: the (owner|group) is `)

// compare proves that the laptop's directory is the desktop.
func (d *demo) compare(ctx context.Context) error {
	d.screen.step("Is it the same?")
	d.screen.busy("comparing every byte, owner, mode, time, link and attribute")
	differ, err := compare.Trees(ctx, d.desktop.dir, d.target(), compare.Options{Most: 1 << 20})
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", d.desktop.dir, d.target(), err)
	}
	owners := ""
	if os.Geteuid() != 0 {
		owners, differ = " But for owners, which only root can give.", slices.DeleteFunc(differ, ownership.MatchString)
	}
	if len(differ) == 0 {
		d.screen.item("", "yes: every byte, owner, mode, time, link and attribute is as in %s.%s", d.desktop.dir, owners)
		return nil
	}
	for _, line := range differ[:min(len(differ), 10)] {
		d.screen.item("", "%s", line)
	}
	if d.desktop.partly || d.figures.resumed {
		d.screen.item("note", "what could not be read, or changed after the snapshot was taken, differs")
		return nil
	}
	d.screen.item("no", "the two differ (if %s is in use, it may have changed meanwhile)", d.desktop.dir)
	return errShown
}
