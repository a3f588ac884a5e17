//go:build linux

package keeper

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// store holds the descriptors that the process gives away.
type store struct {
	conn *net.UnixConn

	mu    sync.Mutex
	names []string
	files []*os.File
	// reached is told when everything said before a mark was heard.
	reached chan struct{}
}

// mark is what the keeper says to itself.
const mark = "X_REACHED=1"

func openStore() (*store, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@looming-" + rand.Text(), Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var set error
		err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		err = errors.Join(err, set)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keeper: %w", err), conn.Close())
	}
	return &store{conn: conn, reached: make(chan struct{}, 1)}, nil
}

// listen hears what the process says, until the store is closed.
func (s *store) listen() {
	b, oob := make([]byte, 1024), make([]byte, 1024)
	for {
		n, m, _, _, err := s.conn.ReadMsgUnix(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.hear(string(b[:n]), oob[:m])
		}
	}
}

// hear takes one message. Only this user's processes are listened to: the name of
// the socket is no secret.
func (s *store) hear(text string, oob []byte) {
	fds, uid := parse(oob)
	fields := strings.Split(text, "\n")
	name := ""
	for _, f := range fields {
		if v, ok := strings.CutPrefix(f, "FDNAME="); ok {
			name = v
		}
	}
	switch {
	case uid != os.Geteuid():
	case slices.Contains(fields, "FDSTORE=1") && name != "" && !strings.Contains(name, ":"):
		s.add(name, fds)
		return
	case slices.Contains(fields, "FDSTOREREMOVE=1"):
		s.remove(name)
	case text == mark:
		s.reached <- struct{}{}
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func parse(oob []byte) (fds []int, uid int) {
	uid = -1
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, uid
	}
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		} else if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			uid = int(cred.Uid)
		}
	}
	return fds, uid
}

func (s *store) add(name string, fds []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		s.names, s.files = append(s.names, name), append(s.files, os.NewFile(uintptr(fd), name))
	}
}

func (s *store) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.names) - 1; i >= 0; i-- {
		if s.names[i] == name {
			_ = s.files[i].Close() // a copy
			s.names, s.files = slices.Delete(s.names, i, i+1), slices.Delete(s.files, i, i+1)
		}
	}
}

// all gives fn what is kept now, and keeps it meanwhile. It waits until what was
// said is heard.
func (s *store) all(fn func(names []string, files []*os.File)) {
	if c, err := net.DialUnix("unixgram", nil, s.conn.LocalAddr().(*net.UnixAddr)); err == nil {
		if _, err := c.Write([]byte(mark)); err == nil {
			<-s.reached
		}
		_ = c.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(s.names, s.files)
}

func (s *store) close() {
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		_ = f.Close()
	}
	s.names, s.files = nil, nil
}
