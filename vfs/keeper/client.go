//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Client is the side of the process that is kept. It is safe for concurrent use.
type Client struct {
	fd int

	mu sync.Mutex
	// kept is what a process before this one kept, until it is taken; names are
	// all that is kept now, room is how many bytes of names may follow.
	kept  map[string]int
	names map[string]bool
	room  int
}

// namesMax bounds the names together, in bytes: a kernel takes 128 KiB in one
// variable of an environment.
const namesMax = 120 << 10

// ErrFull says that no more can be kept.
var ErrFull = errors.New("the keeper holds all that it can hand over")

// The environment of a process that is kept. They are systemd's.
const (
	envSocket = "NOTIFY_SOCKET"
	envStore  = "FDSTORE"
	envFds    = "LISTEN_FDS"
	envNames  = "LISTEN_FDNAMES"
)

// firstFd is the first descriptor that is handed over.
const firstFd = 3

// Kept says whether the process that has an environment is kept.
func Kept(getenv func(string) string) bool { return getenv(envSocket) != "" && getenv(envStore) != "" }

// Connect finds the keeper of this process by its environment. Call it once.
func Connect(getenv func(string) string) (*Client, error) {
	fd, err := dial(getenv(envSocket))
	if err != nil {
		return nil, fmt.Errorf("reaching the keeper of this process: %w", err)
	}
	c := &Client{fd: fd, kept: map[string]int{}, names: map[string]bool{}, room: namesMax}
	count, _ := strconv.Atoi(getenv(envFds)) // none is set where nothing was kept
	names := strings.Split(getenv(envNames), ":")
	for i := range count {
		unix.CloseOnExec(firstFd + i)
		if i < len(names) {
			c.kept[names[i]] = firstFd + i
			c.note(names[i])
		}
	}
	return c, nil
}

// patience is how long the keeper may be busy, in seconds.
const patience = 1

func dial(name string) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: patience}),
		unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
	if err != nil {
		_ = unix.Close(fd)
	}
	return fd, err
}

// Take returns a descriptor that a process before this one kept under a name. It
// is the caller's from now on, and remains kept.
func (c *Client) Take(name string) (fd int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, ok = c.kept[name]
	delete(c.kept, name)
	return fd, ok
}

// Room is how many bytes of names may still be kept, each with a byte of its own.
func (c *Client) Room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.room
}

// Names are those with a prefix under which something is kept.
func (c *Client) Names(prefix string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.names {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// Keep has a copy of fd kept under a name, until Drop.
func (c *Client) Keep(name string, fd int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.names[name] && c.room <= len(name) {
		return ErrFull
	}
	if err := c.say("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, unix.UnixRights(fd)); err != nil {
		return err
	}
	c.note(name)
	return nil
}

func (c *Client) note(name string) {
	if !c.names[name] {
		c.names[name] = true
		c.room -= len(name) + 1
	}
}

// Drop has all that is kept under a name closed, also what nobody took.
func (c *Client) Drop(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.names[name] {
		return nil
	}
	if err := c.say("FDSTOREREMOVE=1\nFDNAME="+name, nil); err != nil {
		return err
	}
	if fd, ok := c.kept[name]; ok {
		_ = unix.Close(fd)
		delete(c.kept, name)
	}
	delete(c.names, name)
	c.room += len(name) + 1
	return nil
}

func (c *Client) say(text string, oob []byte) error {
	err := unix.Sendmsg(c.fd, []byte(text), oob, nil, 0)
	for err == unix.EINTR { //nolint:errorlint // it is never wrapped; a wait with a limit is not restarted
		err = unix.Sendmsg(c.fd, []byte(text), oob, nil, 0)
	}
	if err != nil {
		return fmt.Errorf("telling the keeper of this process: %w", err)
	}
	return nil
}

// Close lets go of the keeper.
func (c *Client) Close() error { return unix.Close(c.fd) }
