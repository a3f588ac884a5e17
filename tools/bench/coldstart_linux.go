package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/looming-project/looming/tests/e2e/lab"
	"github.com/looming-project/looming/tools/wan/link"
)

// session is what somebody does who has just logged in: a shell, python, git, a
// browser's version and a page of it, each with the time that it took. It runs
// with the desktop as its root; what it makes for itself is not on the desktop.
const session = `
enter() { mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/tmp" && mount -t tmpfs tmpfs "$1/run"; }
enter "$1" && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 MOZ_DISABLE_CONTENT_SANDBOX=1 MOZ_DISABLE_GMP_SANDBOX=1 \
	chroot "$1" /bin/sh -c '
step() {
	name=$1; began=$(date +%s%N); shift
	"$@" >/tmp/said 2>&1 || { echo "$name failed: $(tail -1 /tmp/said)"; exit 1; }
	echo "$name $((($(date +%s%N) - began) / 1000000)) ms"
}
mkdir /tmp/work /tmp/profile && cd /tmp/work && cp /etc/*.conf .
step shell bash -lc "ls -l /etc /usr/bin /home | sort | uniq -c | sort -n | tail; grep -c . /etc/passwd; id"
step python python3 -c "import json, ssl, sqlite3, email.mime.text, urllib.request, xml.etree.ElementTree, asyncio, decimal"
step git sh -c "git init -q . && git add . && git -c user.name=u -c user.email=e commit -qm m && git log --stat && git status"
step version firefox --version
step page timeout 300 firefox --headless --no-remote --profile /tmp/profile --screenshot /tmp/page.png file:///etc/hosts
test -s /tmp/page.png || { echo "page failed: no picture"; exit 1; }
'`

// coldStart is that session on a desktop that is not here, over a slow line: with
// what an earlier one taught, to nothing but demand.
func (b *bench) coldStart(ctx context.Context) error {
	s, err := b.filled(ctx)
	if err != nil {
		return err
	}
	l, err := link.Listen("127.0.0.1:0", s.server.Listen, link.Options{Up: 25 * link.Mbit, Down: 25 * link.Mbit, Delay: 30 * time.Millisecond})
	if err != nil {
		return err
	}
	lineCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { return l.Run(lineCtx) })
	err = b.sessions(ctx, s, l)
	cut()
	return errors.Join(err, g.Wait())
}

func (b *bench) sessions(ctx context.Context, s *setup, l *link.Link) error {
	e, err := s.enroll(ctx, b, "cold", l.Addr().String())
	if err != nil {
		return err
	}
	if err := s.server.Assign(ctx, cvd, "cold"); err != nil {
		return err
	}
	var demand, ours []time.Duration
	var last [2]string
	for range b.runs {
		d, said, err := b.onDemand(ctx, s, e, l)
		if err != nil {
			return err
		}
		demand, last[0] = append(demand, d), said
		o, said, err := b.learnt(ctx, s, e, l)
		if err != nil {
			return err
		}
		ours, last[1] = append(ours, o), said
	}
	b.add(result{
		what: "cold start of a session at 25 Mbit/s 30 ms: demand only, to a learned start set (times)", must: 4, aim: 6, more: true,
		note: "ours: " + last[1] + "; demand: " + last[0],
	}.ratio(demand, ours).swapped())
	return nil
}

// onDemand mounts, which brings nothing ahead, and teaches.
func (b *bench) onDemand(ctx context.Context, s *setup, e *lab.Endpoint, l *link.Link) (time.Duration, string, error) {
	point, work := filepath.Join(s.dir, "cold"), filepath.Join(s.dir, "cold-work")
	return b.sessionIn(ctx, l, point, work, func() (*lab.Process, error) {
		return e.Mount(ctx, cvd, point, "--backing", work)
	})
}

func (b *bench) learnt(ctx context.Context, s *setup, e *lab.Endpoint, l *link.Link) (time.Duration, string, error) {
	target := filepath.Join(s.dir, "warm")
	return b.sessionIn(ctx, l, target, lab.Work(target), func() (*lab.Process, error) {
		return e.Stream(ctx, cvd, target, "--no-pivot")
	})
}

// sessionIn is the session at dir from the moment on that show is asked to show the desktop there. All that came is
// removed again.
func (b *bench) sessionIn(ctx context.Context, l *link.Link, dir, work string, show func() (*lab.Process, error)) (took time.Duration, said string, err error) {
	if err := cold(); err != nil {
		return 0, "", err
	}
	began, before := time.Now(), l.Stats().Down
	p, err := show()
	if err != nil {
		return 0, "", err
	}
	out, err := lab.Run(ctx, exec.Command("unshare", "-m", "--pid", "--fork", "--kill-child", "sh", "-c", session, "sh", dir))
	took = time.Since(began)
	steps := strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), ", ")
	steps += "; " + human(l.Stats().Down-before) + " came"
	if err != nil {
		err = fmt.Errorf("the session in %s: %s: %w", dir, steps, err)
	}
	fmt.Fprintf(os.Stderr, "  %-24s %8.2f s  %s\n", filepath.Base(dir), took.Seconds(), steps)
	return took, steps, errors.Join(err, p.Interrupt(), lab.Unmount(dir), os.RemoveAll(work), os.RemoveAll(dir))
}
