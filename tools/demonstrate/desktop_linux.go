package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/looming-project/looming/tools/tree/debian"
)

// desktop is what is shown.
type desktop struct {
	dir, name string
	first     string // a small file to open
	programs  []program
	partly    bool // some of it could not be read
}

// program is one that runs within the desktop.
type program struct {
	name string
	args []string
}

// programs are looked for in the desktop. Each says something on stdout.
var programs = []program{
	{"/usr/bin/python3", []string{"-c", `import json, platform; print("Python", platform.python_version())`}},
	{"/usr/bin/git", []string{"--version"}},
	{"/bin/sh", []string{"-c", `echo "$(ls /usr/bin | wc -l) programs in /usr/bin"`}},
}

// shared is shown where no Debian can be made.
const shared = "/usr/share"

// chosen settles on a directory.
func chosen(ctx context.Context, dir string, s *screen) (desktop, error) {
	if dir == "" {
		s.busy("looking for the small Debian")
		made, err := debian.Tree(ctx, debian.Options{Log: lines(func(line string) { s.item("note", "%s", line) })})
		if ctx.Err() != nil {
			return desktop{}, ctx.Err()
		}
		if err != nil {
			s.item("note", "no small Debian can be made here, so %s is shown: %v", shared, err)
			made = shared
		}
		dir = made
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return desktop{}, err
	}
	d := desktop{dir: dir, name: nameOf(dir)}
	if d.first, err = firstFile(dir); err != nil {
		return d, fmt.Errorf("look at the desktop %s: %w", dir, err)
	}
	for _, p := range programs {
		if _, err := os.Lstat(dir + p.name); err == nil && os.Geteuid() == 0 {
			d.programs = append(d.programs, p)
		}
	}
	return d, nil
}

// lines hears text line by line.
type lines func(string)

func (l lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		l(strings.TrimSpace(line))
	}
	return len(b), nil
}

var odd = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// nameOf is the name that a directory's desktop has on the server.
func nameOf(dir string) string {
	name := odd.ReplaceAllString(filepath.Base(dir), "-")
	name = strings.Trim(name[:min(len(name), 60)], "-._")
	if name == "" {
		return "root"
	}
	return name
}

// firstFile is a small file that a person knows, or else a readable one, or any.
func firstFile(dir string) (string, error) {
	for _, known := range []string{"etc/debian_version", "etc/os-release", "common-licenses/BSD"} {
		if info, err := os.Lstat(filepath.Join(dir, known)); err == nil && info.Mode().IsRegular() {
			return known, nil
		}
	}
	found := ""
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return ignored(err, path, dir)
		}
		text, ok := small(path)
		switch {
		case ok && readable(text):
			found = path
			return fs.SkipAll
		case ok && found == "":
			found = path
		}
		return nil
	})
	if err == nil && found == "" {
		err = errors.New("there is no small file in it to open")
	}
	if err != nil {
		return "", err
	}
	return filepath.Rel(dir, found)
}

// small reads a file that is small, not empty, and open to this user.
func small(path string) ([]byte, bool) {
	info, err := os.Lstat(path)
	if err != nil || info.Size() == 0 || info.Size() > 64<<10 {
		return nil, false
	}
	text, err := os.ReadFile(path)
	return text, err == nil
}

// readable says whether a text begins with a line for people.
func readable(text []byte) bool {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line != "" && printable(line) == line && utf8.ValidString(line)
}

// ignored lets what may not be listed be, unless it is the desktop itself.
func ignored(err error, path, dir string) error {
	if path == dir {
		return err
	}
	return nil
}
