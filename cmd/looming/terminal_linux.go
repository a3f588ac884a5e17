package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal says how wide the terminal is that f is, if it is one.
func terminal(f *os.File) (width int, ok bool) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	if ws.Col < 20 {
		return 80, true
	}
	return int(ws.Col), true
}
