//go:build linux

package fuse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/looming-project/looming/vfs/ledger"
	"golang.org/x/sys/unix"
)

// What the kernel and a server say to each other first, in bytes: a request and its answer.
const (
	initSize   = 40 + 64
	answerSize = 16 + 64
	atFlags2   = 40 + 16
)

// canResend is the bit of the second flags by which a kernel says that it can be
// asked for its requests once more (Linux 6.9); resend asks for them.
const (
	canResend = fuse.CAP_HAS_RESEND >> 32
	resend    = 7
)

// resent is set in the number of a request that was read before, maybe by a process that died.
const resent = 1 << 63

// attach serves a mount through the handover's device: it mounts, or goes on where
// another process died. go-fuse wants to agree with a kernel before it serves; what
// was agreed when the mount was made is said again, over a socket in its place.
func (o *Handover) attach(h *host, dir string, opt *fuse.MountOptions) (*fuse.Server, error) {
	if o.Taken() {
		return o.goOn(h, dir, opt)
	}
	dev, hello, err := mount(dir, opt)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dev)
	server, err := o.first(h, dev, hello, opt)
	if err != nil { // nobody would ever answer
		return nil, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH), o.End())
	}
	return server, nil
}

// goOn serves a mount that another process made.
func (o *Handover) goOn(h *host, dir string, opt *fuse.MountOptions) (*fuse.Server, error) {
	note := o.led.Note()
	if len(note) < initSize+answerSize {
		return nil, fmt.Errorf("going on with the mount at %s: %w", dir, ledger.ErrForeign)
	}
	hello, agreed := note[:initSize], note[initSize:]
	server, answer, err := o.introduce(h, hello, opt)
	if err != nil {
		return nil, err
	}
	if string(answer[16:]) != string(agreed[16:]) {
		return nil, fmt.Errorf("going on with the mount at %s: %w", dir, ledger.ErrForeign)
	}
	return server, unix.Dup3(o.fd, o.slot, unix.O_CLOEXEC)
}

// first agrees with the kernel about a new mount, and has the keeper hold it.
func (o *Handover) first(h *host, dev int, hello []byte, opt *fuse.MountOptions) (*fuse.Server, error) {
	server, answer, err := o.introduce(h, hello, opt)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Write(dev, answer); err != nil {
		return nil, fmt.Errorf("answering the kernel: %w", err)
	}
	if err := unix.Dup3(dev, o.slot, unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	o.led.SetNote(append(append([]byte{}, hello...), answer...))
	if binary.NativeEndian.Uint32(hello[atFlags2:])&canResend == 0 {
		return server, nil // an answer that the kernel waits for would never come
	}
	return server, o.keep(dev)
}

// askAgain asks for the requests that a process before this one read and did not answer.
func (o *Handover) askAgain() error {
	b := binary.NativeEndian.AppendUint32(nil, 16)
	b = binary.NativeEndian.AppendUint32(b, resend)
	b = binary.NativeEndian.AppendUint64(b, 0)
	_, err := unix.Write(o.fd, b)
	err = errors.Join(err, unix.Close(o.fd))
	o.fd = -1
	return err
}

// introduce has go-fuse agree with a kernel that said hello. The server then reads
// and writes the descriptor slot.
func (o *Handover) introduce(h *host, hello []byte, opt *fuse.MountOptions) (s *fuse.Server, answer []byte, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(pair[0])
	if _, err := unix.Write(pair[0], hello); err != nil {
		return nil, nil, errors.Join(err, unix.Close(pair[1]))
	}
	on := *opt
	on.DirectMount = false
	if s, err = fuse.NewServer(h, fmt.Sprintf("/dev/fd/%d", pair[1]), &on); err != nil {
		return nil, nil, err
	}
	o.idle, o.slot = s, pair[1]
	answer = make([]byte, answerSize+1)
	n, err := unix.Read(pair[0], answer)
	if err == nil && n != answerSize {
		err = fmt.Errorf("%d bytes agreed with the kernel, not %d", n, answerSize)
	}
	return s, answer[:answerSize], err
}

// mount makes the mount and returns its device with what the kernel says first.
func mount(dir string, opt *fuse.MountOptions) (dev int, hello []byte, err error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, nil, err
	}
	if dev, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return 0, nil, fmt.Errorf("opening /dev/fuse: %w", err)
	}
	data := append([]string{
		fmt.Sprintf("fd=%d", dev), fmt.Sprintf("rootmode=%o", st.Mode&unix.S_IFMT),
		fmt.Sprintf("user_id=%d", os.Geteuid()), fmt.Sprintf("group_id=%d", os.Getegid()),
		fmt.Sprintf("max_read=%d", opt.MaxWrite),
	}, opt.Options...)
	if opt.AllowOther {
		data = append(data, "allow_other")
	}
	if err := unix.Mount(opt.FsName, dir, "fuse."+opt.Name, opt.DirectMountFlags, strings.Join(data, ",")); err != nil {
		return 0, nil, errors.Join(err, unix.Close(dev))
	}
	hello = make([]byte, requestSize+1<<12)
	n, err := unix.Read(dev, hello)
	if err == nil && n < initSize {
		err = fmt.Errorf("the kernel speaks an old protocol (%d bytes)", n)
	}
	if err != nil {
		return 0, nil, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH), unix.Close(dev))
	}
	return dev, hello[:initSize], nil
}
