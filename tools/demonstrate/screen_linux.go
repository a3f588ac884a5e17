package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// screen is what a person sees: lines, and on a terminal one line beneath them
// that changes.
type screen struct {
	w     *os.File
	width int // 0: not a terminal
	plain bool
	steps int

	mu     sync.Mutex
	moving bool      // the changing line is drawn
	at     time.Time // when it was last told what goes on
}

// often is how often work under way is told of where there is no terminal.
const often = 10 * time.Second

func newScreen(w *os.File) *screen {
	s := &screen{w: w, at: time.Now(), plain: os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"}
	if size, err := unix.IoctlGetWinsize(int(w.Fd()), unix.TIOCGWINSZ); err == nil {
		s.width = max(int(size.Col), 40)
	}
	return s
}

func (s *screen) styled(code, text string) string {
	if s.width == 0 || s.plain {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) bold(text string) string { return s.styled("1", text) }
func (s *screen) dim(text string) string  { return s.styled("2", text) }

// say prints a line.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// end takes the changing line away.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
}

func (s *screen) clearLocked() {
	if s.moving {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.moving = false
	}
}

// step begins a part of the demo.
func (s *screen) step(title string) {
	s.steps++
	s.say("\n%s  %s", s.bold(fmt.Sprint(s.steps)), s.bold(title))
}

// item says one thing within a step.
func (s *screen) item(name, format string, args ...any) {
	s.say("   %s %s", s.dim(fmt.Sprintf("%-9s", name)), fmt.Sprintf(format, args...))
}

// event says what happened in a stream.
func (s *screen) event(m mark, format string, args ...any) {
	s.say("   %s  %s", s.dim(fmt.Sprintf("%6.1f s %8s", m.after.Seconds(), bytes(m.bytes))), fmt.Sprintf(format, args...))
}

// row is one of the table.
func (s *screen) row(what string, m mark) {
	s.say("  %-44s %s %14s", what, s.bold(fmt.Sprintf("%10.1f", m.after.Seconds())), bytes(m.bytes))
}

// busy says what goes on now: on a terminal until something else is said, else
// once in a while.
func (s *screen) busy(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width == 0 {
		if time.Since(s.at) >= often {
			s.at = time.Now()
			fmt.Fprintf(s.w, "   … %s\n", text)
		}
		return
	}
	text = "   " + text
	if utf8.RuneCountInString(text) >= s.width {
		text = string([]rune(text)[:s.width-2]) + "…"
	}
	fmt.Fprintf(s.w, "\r\x1b[K%s", text)
	s.moving = true
}

// follow shows the last line of what a command says until it is stopped.
func (s *screen) follow(said func() string) (stop func()) {
	return s.repeat(250*time.Millisecond, func() {
		lines := strings.Split(strings.TrimSpace(said()), "\n")
		if last := lines[len(lines)-1]; last != "" {
			s.busy(last)
		}
	})
}

// watch shows how far a stream is until it is stopped.
func (s *screen) watch(ctx context.Context, status func() (lab.Streaming, error)) (stop func()) {
	return s.repeat(500*time.Millisecond, func() {
		if st, err := status(); err == nil && ctx.Err() == nil { // it may have just ended
			s.busy(s.progress(&st))
		}
	})
}

// repeat does something again and again until it is stopped.
func (s *screen) repeat(every time.Duration, do func()) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				do()
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		s.end()
	}
}

// progress is a stream's state in one line.
func (s *screen) progress(st *lab.Streaming) string {
	share := 0.0
	if st.BytesTotal > 0 {
		share = min(1, float64(st.BytesDone)/float64(st.BytesTotal))
	}
	parts := []string{fmt.Sprintf("%3.0f %%", 100*share), bytes(st.BytesDone) + " of " + bytes(st.BytesTotal)}
	if st.ETA > 0 {
		parts = append(parts, (time.Duration(st.ETA)*time.Second).String()+" left")
	}
	switch {
	case st.Phase != "filling":
		parts = append(parts, strings.TrimSuffix(st.Phase+": "+st.Message, ": "))
	case st.Current != "":
		parts = append(parts, printable(st.Current))
	}
	text := strings.Join(parts, "  ")
	if s.width > 0 {
		text = bar(share, s.width/4) + " " + text
	}
	return text
}

func bar(share float64, width int) string {
	full := int(share * float64(width))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
