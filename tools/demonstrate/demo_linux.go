package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// The line between the server and the second machine.
const (
	lineRate  = 20 * link.Mbit
	lineDelay = 50 * time.Millisecond
)

// Addresses stay the same from run to run, for devices remember them.
const (
	serverAddr = "127.0.0.1:28443"
	lineAddr   = "127.0.0.1:28444"
)

// demo is one run.
type demo struct {
	screen      *screen
	keep, fresh bool
	dir         string

	home    string // what is kept from run to run
	desktop desktop
	server  *lab.Server
	line    *link.Link
	office  *lab.Endpoint // has the desktop
	laptop  *lab.Endpoint // wants it
	taken   lab.Taken
	figures figures
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.home, err = place(); err != nil {
		return err
	}
	if d.fresh {
		if err := d.forget(); err != nil {
			return err
		}
	}
	d.screen.say("%s", d.screen.bold("Looming: a desktop that is there before its files are."))
	if err := d.choose(ctx); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Stop()) }()
	return d.withLine(ctx, d.show)
}

// place is where things are kept from run to run. Root's own cache is closed
// to the user whom Postgres runs as.
func place() (string, error) {
	cache := "/var/cache"
	if os.Geteuid() != 0 || os.Getenv("XDG_CACHE_HOME") != "" {
		var err error
		if cache, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("find a place for the demo's data: %w; set HOME or XDG_CACHE_HOME", err)
		}
	}
	return filepath.Join(cache, "looming", "demo"), nil
}

// forget removes what earlier runs left.
func (d *demo) forget() error {
	if err := lab.Unmount(d.home); err != nil {
		return err
	}
	return os.RemoveAll(d.home)
}

// choose settles which desktop is shown.
func (d *demo) choose(ctx context.Context) (err error) {
	d.screen.step("The desktop")
	d.desktop, err = chosen(ctx, d.dir, d.screen)
	if err != nil {
		return err
	}
	d.screen.item("directory", "%s", d.desktop.dir)
	return nil
}

// serve builds the commands and starts the server.
func (d *demo) serve(ctx context.Context) error {
	d.screen.step("The server")
	d.screen.busy("building the commands")
	programs, err := lab.Build(ctx, filepath.Join(d.home, "bin"))
	if err != nil {
		return err
	}
	d.screen.busy("starting the server with its own Postgres")
	d.server = &lab.Server{Programs: programs, Data: filepath.Join(d.home, "server"), Listen: serverAddr}
	if err := d.server.Start(ctx); err != nil {
		return fmt.Errorf("%w\nIf an earlier demo still runs, end it; --fresh begins with nothing", err)
	}
	d.office = &lab.Endpoint{Programs: programs, Name: "office", State: filepath.Join(d.home, "office"), URL: d.server.URL(), CA: d.server.CA()}
	d.laptop = &lab.Endpoint{Programs: programs, Name: "laptop", State: filepath.Join(d.home, "laptop"), URL: "https://" + lineAddr, CA: d.server.CA()}
	d.screen.item("data", "%s", d.server.Data)
	return d.tellConsole()
}

func (d *demo) tellConsole() error {
	password, err := d.server.Password()
	if errors.Is(err, fs.ErrNotExist) {
		password, err = "(the one you have set)", nil
	}
	if err != nil {
		return err
	}
	d.screen.item("console", "%s/   user %s   password %s", d.server.URL(), d.screen.bold("admin"), d.screen.bold(password))
	d.screen.item("", "%s", d.screen.dim("the browser will warn: the certificate is from the server's own CA"))
	return nil
}

// withLine runs fn with the slow line up.
func (d *demo) withLine(ctx context.Context, fn func(context.Context) error) (err error) {
	d.line, err = link.Listen(lineAddr, d.server.Listen, link.Options{Up: lineRate, Down: lineRate, Delay: lineDelay})
	if err != nil {
		return err
	}
	lineCtx, cut := context.WithCancel(context.WithoutCancel(ctx)) // the stream ends over it
	var g errgroup.Group
	g.Go(func() error { return d.line.Run(lineCtx) })
	defer func() {
		cut()
		err = errors.Join(err, g.Wait())
	}()
	return fn(ctx)
}

// show is the demo itself.
func (d *demo) show(ctx context.Context) error {
	if err := d.enroll(ctx); err != nil {
		return err
	}
	if err := d.centralize(ctx); err != nil {
		return err
	}
	if err := d.stream(ctx); err != nil {
		return err
	}
	if err := d.compare(ctx); err != nil {
		return err
	}
	if err := d.sumUp(ctx); err != nil {
		return err
	}
	return d.linger(ctx)
}

// enroll lets the two machines in, with one-time tokens.
func (d *demo) enroll(ctx context.Context) error {
	for _, e := range []*lab.Endpoint{d.office, d.laptop} {
		if e.Enrolled() {
			continue
		}
		d.screen.busy("enrolling " + e.Name)
		if err := e.Enroll(ctx, d.server); err != nil {
			return fmt.Errorf("enroll %s: %w", e.Name, err)
		}
	}
	d.screen.item("machines", "office (has the desktop) and laptop (wants it), let in with one-time tokens")
	return nil
}

// centralize brings the desktop to the server.
func (d *demo) centralize(ctx context.Context) (err error) {
	d.screen.step("office centralizes the desktop")
	p, err := d.office.StartSnapshot(d.desktop.name, d.desktop.dir)
	if err != nil {
		return err
	}
	stop := d.screen.follow(p.Said)
	d.taken, err = lab.EndSnapshot(ctx, p)
	stop()
	if part, ok := errors.AsType[*lab.Ended](err); ok && part.Code == 3 {
		d.desktop.partly = true
		d.screen.item("note", "%d files could not be read and are not in it", d.taken.Unreadable)
	} else if err != nil {
		return fmt.Errorf("centralize %s: %w", d.desktop.dir, err)
	}
	t := &d.taken
	d.screen.item("holds", "%s files, %s", humanize.Comma(int64(t.Files)), bytes(t.Bytes))
	if t.BytesRead == 0 {
		d.screen.item("took", "%.1f s: nothing has changed since the last run, so nothing was read", t.Seconds)
	} else {
		d.screen.item("took", "%.1f s: %s read, %s sent", t.Seconds, bytes(t.BytesRead), bytes(t.BytesSent))
	}
	return d.server.Assign(ctx, d.desktop.name, d.laptop.Name)
}

// linger leaves the console to be looked at.
func (d *demo) linger(ctx context.Context) error {
	if !d.keep {
		d.screen.say("\n%s", d.screen.dim("tools/demo --keep leaves the server and its console running. The data stay in "+d.home))
		return nil
	}
	d.screen.step("The server keeps running")
	if err := d.tellConsole(); err != nil {
		return err
	}
	d.screen.say("\nEnter or Ctrl-C ends it.")
	entered := make(chan error, 1)
	go func() { // a read of stdin cannot be interrupted, so it is not waited for
		var b [1]byte
		_, err := os.Stdin.Read(b[:])
		entered <- err
	}()
	select {
	case err := <-entered:
		if err == nil {
			return nil
		}
		<-ctx.Done() // there is nobody to press Enter
	case <-ctx.Done():
	}
	return nil
}

// bytes says a number of bytes in a person's words.
func bytes[N uint64 | int64](n N) string { return humanize.Bytes(uint64(n)) }
