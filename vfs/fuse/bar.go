//go:build linux

package fuse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs"
)

// Bars are the programs for which no content is fetched: scanners, indexers.
// Parts of them are made by Bar.
type Bars struct{ paths, names, groups []string }

// groupPrefix begins a bar of a control group.
const groupPrefix = "cgroup:"

// Bar adds a program: by the path of its executable, by its name as ps shows it, or
// as cgroup:/PATH by the control group that it or one above it runs in.
func (b *Bars) Bar(program string) error {
	group, isGroup := strings.CutPrefix(program, groupPrefix)
	switch {
	case isGroup && strings.HasPrefix(group, "/"):
		b.groups = append(b.groups, strings.TrimSuffix(group, "/"))
	case strings.HasPrefix(program, "/"):
		b.paths = append(b.paths, program)
	case program != "" && !isGroup && !strings.Contains(program, "/"):
		b.names = append(b.names, program[:min(len(program), commMax)])
	default:
		return fmt.Errorf("%q is no program: give the full path of an executable, a name without slashes, or cgroup:/PATH", program)
	}
	return nil
}

// commMax is how much of a name the kernel keeps.
const commMax = 15

// holds says whether a thread is of such a program. One that is gone is not.
func (b *Bars) holds(pid uint32) bool {
	if pid == 0 {
		return false // of another pid namespace
	}
	dir := fmt.Sprintf("/proc/%d/", pid)
	if len(b.paths) > 0 {
		exe, err := os.Readlink(dir + "exe")
		if err == nil && slices.Contains(b.paths, strings.TrimSuffix(exe, " (deleted)")) {
			return true
		}
	}
	if len(b.names) > 0 {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%s/comm", leader(dir)))
		if err == nil && slices.Contains(b.names, string(bytes.TrimSuffix(name, []byte("\n")))) {
			return true
		}
	}
	return len(b.groups) > 0 && b.holdsGroup(dir)
}

// leader is the process of a thread, which may have a name of its own.
func leader(dir string) string {
	status, _ := os.ReadFile(dir + "status") // of a thread that is gone there is none
	for line := range bytes.Lines(status) {
		if id, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			return string(bytes.TrimSpace(id))
		}
	}
	return "0"
}

// holdsGroup looks at all hierarchies; a line is NUMBER:CONTROLLERS:PATH.
func (b *Bars) holdsGroup(dir string) bool {
	groups, err := os.ReadFile(dir + "cgroup")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		for _, g := range b.groups {
			if len(parts) == 3 && strings.HasPrefix(parts[2]+"/", g+"/") {
				return true
			}
		}
	}
	return false
}

// asks is wait for a request that may have content fetched.
func (h *host) asks(interrupted <-chan struct{}, in *fuse.InHeader) (context.Context, func()) {
	w, end := wait(interrupted, in)
	if h.bars == nil {
		return w, end
	}
	return vfs.Bar(w, func() bool { return h.bars.holds(in.Pid) }), end
}

// quiet says that an error is answered by its number alone: there may be one for
// every file that a scanner comes to.
func quiet(err error) bool { return errors.Is(err, vfs.ErrBarred) }
