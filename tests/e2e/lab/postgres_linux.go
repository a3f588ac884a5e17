package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// KillPostgres ends the server's private Postgres as a crash does.
func (s *Server) KillPostgres() error {
	text, err := os.ReadFile(filepath.Join(s.Data, "postgres", "cluster", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid < 2 {
		return fmt.Errorf("postmaster.pid of %s: no process id in %q", s.Data, first)
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}
