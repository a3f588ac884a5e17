package pivot

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procHolders finds who uses a mount by looking through /proc. It never asks the mount's server, which may be this
// process, may hold writers back, or may be dead.
type procHolders struct{ proc, sys string }

func defaultHolders() HolderFinder { return procHolders{"/proc", "/sys"} }

// device is a mounted file system's number, the same in every mount namespace.
type device struct{ major, minor uint32 }

// Holders lists the users of the mount at target: one entry for each process with its first use, and mounts, loop
// devices and swap files.
func (p procHolders) Holders(ctx context.Context, target string) ([]Holder, error) {
	at, err := mountsAt(target)
	if err != nil || len(at) == 0 {
		return nil, err
	}
	top := at[len(at)-1]
	dev := device{top.major, top.minor}
	found, err := mountHolders(target)
	if err != nil {
		return nil, err
	}
	processes, err := os.ReadDir(p.proc)
	if err != nil {
		return nil, err
	}
	for _, e := range processes {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if h, ok := p.process(pid, dev, target); ok {
			found = append(found, h)
		}
	}
	found = append(found, p.loops(target)...)
	found = append(found, p.swaps(target)...)
	slices.SortStableFunc(found, func(a, b Holder) int { return cmp.Compare(a.PID, b.PID) })
	return found, nil
}

func mountHolders(target string) (found []Holder, err error) {
	under, err := mountsUnder(target)
	for _, m := range under {
		found = append(found, Holder{Use: MountsAt, Path: m.path})
	}
	return found, err
}

// process looks at one process; one that ends meanwhile, or that may not be looked at, holds nothing that is seen.
func (p procHolders) process(pid int, dev device, target string) (Holder, bool) {
	dir := filepath.Join(p.proc, strconv.Itoa(pid))
	h := Holder{PID: pid}
	for _, link := range []struct {
		name string
		use  Use
	}{{"exe", Runs}, {"cwd", WorksIn}, {"root", RootedIn}} {
		if path := filepath.Join(dir, link.name); onDevice(path, dev) {
			h.Use, h.Path = link.use, inTarget(readlink(path), target)
			return p.named(h), true
		}
	}
	if path, ok := openOn(filepath.Join(dir, "fd"), dev); ok {
		h.Use, h.Path = HasOpen, inTarget(path, target)
		return p.named(h), true
	}
	if path, ok := mappedFrom(filepath.Join(dir, "maps"), dev); ok {
		h.Use, h.Path = Maps, inTarget(path, target)
		return p.named(h), true
	}
	return h, false
}

func (p procHolders) named(h Holder) Holder {
	name, err := os.ReadFile(filepath.Join(p.proc, strconv.Itoa(h.PID), "comm"))
	h.Name = strings.TrimSpace(string(name))
	if err != nil || h.Name == "" {
		h.Name = "a process"
	}
	return h
}

// onDevice reports whether a link of /proc leads to a file system. With an empty mask and AT_STATX_DONT_SYNC the
// kernel fills in the device number alone, without a request to a FUSE server, even to a dead one.
func onDevice(path string, dev device) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, 0, &st)
	return err == nil && dev == device{st.Dev_major, st.Dev_minor}
}

func readlink(path string) string {
	to, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	return to
}

// inTarget makes sure that a name tells where the target is: a process in a chroot or in another mount namespace has
// its own.
func inTarget(path, target string) string {
	if path == target || strings.HasPrefix(path, target+"/") {
		return path
	}
	if path == "" || path == "/" {
		return target
	}
	return fmt.Sprintf("%s (by its own name %s)", target, path)
}

// openOn finds an open file of the device in a directory of descriptors.
func openOn(fds string, dev device) (string, bool) {
	list, err := os.ReadDir(fds)
	if err != nil {
		return "", false
	}
	for _, e := range list {
		if path := filepath.Join(fds, e.Name()); onDevice(path, dev) {
			return readlink(path), true
		}
	}
	return "", false
}

// mappedFrom finds a mapped file of the device in a file such as /proc/1/maps.
func mappedFrom(maps string, dev device) (string, bool) {
	f, err := os.Open(maps)
	if err != nil {
		return "", false
	}
	defer f.Close()
	want := fmt.Sprintf("%02x:%02x", dev.major, dev.minor)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), " ", 6) // range, rights, offset, device, inode, path
		if len(fields) == 6 && fields[3] == want {
			return strings.TrimSpace(fields[5]), true
		}
	}
	return "", false
}

// loops lists loop devices on files beneath target.
func (p procHolders) loops(target string) (found []Holder) {
	files, err := filepath.Glob(filepath.Join(p.sys, "block/loop*/loop/backing_file"))
	if err != nil {
		return nil
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		path := strings.TrimSpace(string(data))
		if err == nil && strings.HasPrefix(path, target+"/") {
			name := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(file)))
			found = append(found, Holder{Name: name, Use: Loop, Path: path})
		}
	}
	return found
}

// swaps lists swap files beneath target.
func (p procHolders) swaps(target string) (found []Holder) {
	data, err := os.ReadFile(filepath.Join(p.proc, "swaps"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		path, _, _ := strings.Cut(line, " ")
		if path = unescape(path); strings.HasPrefix(path, target+"/") {
			found = append(found, Holder{Use: Swap, Path: path})
		}
	}
	return found
}

// isBusy reports whether an unmount failed because of users.
func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, ErrBusy) }
