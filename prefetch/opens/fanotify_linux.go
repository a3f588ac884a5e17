package opens

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// watcher is a fanotify group with one mark, for the file system that root is on.
type watcher struct {
	Options
	root string
	used Used
	f    *os.File
	self string // the path of this program
	buf  [16 << 10]byte
	// slice are the opens of the slice that is under way, and ours are processes in it that run this program.
	slice []open
	ours  map[int32]bool
}

// Run tells used of regular files that other programs open below root, until ctx ends. It needs CAP_SYS_ADMIN.
func Run(ctx context.Context, root string, used Used, o Options) error {
	root, err := filepath.EvalSymlinks(root)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return err
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC|unix.O_NOATIME)
	if err != nil {
		return fmt.Errorf("watching what is opened below %s: %w: it needs root and a kernel with fanotify", root, err)
	}
	w := &watcher{
		Options: o.orDefaults(), root: root, used: used, f: os.NewFile(uintptr(fd), "fanotify"),
		self: programOf("self"), ours: map[int32]bool{},
	}
	defer w.f.Close()
	return w.run(ctx)
}

func (w *watcher) run(ctx context.Context) error {
	pause := 1
	for ctx.Err() == nil {
		if err := w.mark(unix.FAN_MARK_ADD); err != nil {
			return err
		}
		clear(w.ours)
		end := time.Now().Add(w.Slice)
		bulk, err := w.watch(ctx, end)
		if err != nil {
			return err
		}
		if !bulk {
			w.tell()
			pause = 1
			continue
		}
		if err := w.mark(unix.FAN_MARK_REMOVE); err != nil {
			return err
		}
		w.slice = w.slice[:0]
		if err := w.drain(); err != nil {
			return err
		}
		select {
		case <-time.After(time.Until(end) + time.Duration(pause-1)*w.Slice):
		case <-ctx.Done():
		}
		pause = min(2*pause, pauseMax)
	}
	return nil
}

func (w *watcher) mark(how uint) error {
	err := unix.FanotifyMark(int(w.f.Fd()), how|unix.FAN_MARK_FILESYSTEM, unix.FAN_OPEN|unix.FAN_OPEN_EXEC, unix.AT_FDCWD, w.root)
	if err != nil {
		return fmt.Errorf("watching what is opened below %s: %w", w.root, err)
	}
	return nil
}

// watch notes opens until end, or until there are too many.
func (w *watcher) watch(ctx context.Context, end time.Time) (bulk bool, err error) {
	if err := w.f.SetReadDeadline(end); err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for seen := 0; ; {
		n, err := w.f.Read(w.buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("watching what is opened below %s: %w", w.root, err)
		}
		seen += w.take(w.buf[:n], w.note)
		if seen > w.Most {
			return true, nil
		}
	}
}

// drain closes what came before the mark was gone. Each read has a time of its own: after a deadline none gives what is
// still there.
func (w *watcher) drain() error {
	for {
		if err := w.f.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
		n, err := w.f.Read(w.buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		w.take(w.buf[:n], func(int, int32) {})
	}
}

// eventSize is the size of struct fanotify_event_metadata.
const eventSize = 24

// take counts events, shows those of others and closes their files.
func (w *watcher) take(b []byte, each func(fd int, pid int32)) (n int) {
	for len(b) >= eventSize {
		// struct fanotify_event_metadata: length u32, version, reserved u8, metadata length u16, mask u64, fd and pid s32
		length, fd, pid := binary.NativeEndian.Uint32(b), int32(binary.NativeEndian.Uint32(b[16:])), int32(binary.NativeEndian.Uint32(b[20:]))
		if int(length) < eventSize || int(length) > len(b) {
			return n
		}
		b = b[length:]
		if fd == unix.FAN_NOFD { // more than the queue holds
			n += w.Most
			continue
		}
		if !w.own(pid) {
			n++
			each(int(fd), pid)
		}
		_ = unix.Close(int(fd))
	}
	return n
}

// own says whether a process runs this program: a snapshot of it opens everything, which says nothing about use.
func (w *watcher) own(pid int32) bool {
	if w.ours[pid] {
		return true
	}
	own := w.self != "" && programOf(strconv.Itoa(int(pid))) == w.self
	if own { // of the others there are not many in a slice, and they may yet become another program
		w.ours[pid] = true
	}
	return own
}

// programOf is the path of the program of a process, upgraded since or not; empty if the process is gone.
func programOf(pid string) string {
	path, err := os.Readlink("/proc/" + pid + "/exe")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// note keeps an open of a regular file below the root.
func (w *watcher) note(fd int, pid int32) {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return
	}
	path, below := strings.CutPrefix(path, strings.TrimSuffix(w.root, "/")+"/")
	var st unix.Stat_t
	if !below || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink == 0 {
		return
	}
	var of unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(int(pid)), &of) != nil { // it is gone already
		of.Uid = 0
	}
	w.slice = append(w.slice, open{path, of.Uid})
}

func (w *watcher) tell() {
	for _, o := range w.slice {
		w.used(o.path, o.user)
	}
	clear(w.slice)
	w.slice = w.slice[:0]
}
