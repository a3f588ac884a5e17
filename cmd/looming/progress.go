package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/looming-project/looming/vfs/wire"
)

// linesEvery is how often progress is told where there is no terminal.
const linesEvery = 5 * time.Second

// progress shows on stderr how far a command is: as a bar on a terminal, in plain lines otherwise.
type progress struct {
	w     io.Writer
	width int // 0: not a terminal

	// mu guards what follows.
	mu    sync.Mutex
	drawn bool
	ended bool
	last  time.Time
	phase string
}

func (a *app) newProgress() *progress {
	p := &progress{w: a.err}
	if f, ok := a.err.(*os.File); ok {
		if width, ok := terminal(f); ok {
			p.width = width
		}
	}
	return p
}

// status shows a stream.
func (p *progress) status(s status) { p.show(&s.Progress) }

// show shows one state of things.
func (p *progress) show(s *wire.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if p.width == 0 {
		if s.Phase != p.phase || time.Since(p.last) >= linesEvery {
			p.last, p.phase = time.Now(), s.Phase
			fmt.Fprintln(p.w, line(s))
		}
		return
	}
	p.drawn = true
	text := line(s)
	if s.BytesTotal > 0 {
		text = bar(s, p.width/4) + " " + text
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", cut(text, p.width-1))
}

// say prints a line of its own.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// end takes the bar away. Nothing is shown after it.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
	p.ended = true
}

func (p *progress) clearLocked() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// line says it in words.
func line(s *wire.Progress) string {
	parts := []string{s.Phase}
	switch {
	case s.Kind == "snapshot":
		parts = append(parts, humanize.Comma(int64(s.FilesDone))+" entries",
			humanize.Bytes(s.BytesRead)+" read", humanize.Bytes(s.BytesSent)+" sent")
	case s.BytesTotal > 0:
		parts = append(parts, humanize.Bytes(s.BytesDone)+" of "+humanize.Bytes(s.BytesTotal))
	}
	if s.Rate > 0 {
		parts = append(parts, humanize.Bytes(uint64(s.Rate))+"/s")
	}
	if s.ETA > 0 {
		parts = append(parts, time.Duration(s.ETA*float64(time.Second)).Round(time.Second).String()+" left")
	}
	if s.Message != "" {
		parts = append(parts, s.Message)
	} else if s.Current != "" {
		parts = append(parts, printable(s.Current))
	}
	return strings.Join(parts, ", ")
}

func bar(s *wire.Progress, width int) string {
	width = max(width, 10)
	full := int(float64(width) * min(1, float64(s.BytesDone)/float64(s.BytesTotal)))
	return fmt.Sprintf("[%s%s] %3d%%", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*min(s.BytesDone, s.BytesTotal)/s.BytesTotal)
}

// printable makes a path safe to print: names are any bytes.
func printable(path string) string {
	q := fmt.Sprintf("%q", path)
	if q[1:len(q)-1] == path {
		return path
	}
	return q
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:max(n, 0)])
	}
	return s
}

// notice tells that a call to the server failed and is repeated.
func (a *app) notice(err error, wait time.Duration) {
	why := err.Error()
	switch {
	case errors.Is(err, wire.ErrFull):
		why = "the server is out of space: an admin has to make room"
	case errors.Is(err, wire.ErrUnavailable):
		why = "the server is not ready"
	}
	fmt.Fprintf(a.err, "%s; trying again in %s\n", why, wait.Round(100*time.Millisecond))
}
