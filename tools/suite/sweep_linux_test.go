package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A mount that tests left is named, counted and taken away.
func TestSweep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	scratch := filepath.Join(t.TempDir(), "scratch")
	left := filepath.Join(scratch, "left")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", left, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	s := suite{report: newReport(&out, &log)}
	s.sweep(scratch)
	if s.report.failed != 1 || !strings.Contains(out.String(), left) {
		t.Errorf("%d failures for a mount that was left:\n%s", s.report.failed, out.String())
	}
	if _, err := os.Lstat(scratch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}
