package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// terminal says how wide the console is that f is, if it is one.
func terminal(f *os.File) (width int, ok bool) {
	var info windows.ConsoleScreenBufferInfo
	h := windows.Handle(f.Fd())
	if err := windows.GetConsoleScreenBufferInfo(h, &info); err != nil {
		return 80, windows.GetConsoleMode(h, new(uint32)) == nil
	}
	return int(info.Window.Right - info.Window.Left), true
}
