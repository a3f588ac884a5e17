package exit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/wire"
)

// The exit codes are a contract (design, section 10), also for errors that came over the network.
func TestCodes(t *testing.T) {
	overNetwork := &wire.Problem{Type: "looming:not-found", Title: "x", Status: 404}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{wire.ErrFull, 1},
		{wire.ErrInvalid, 2},
		{exit.Usage("bad flag"), 2},
		{fmt.Errorf("user: %w", wire.ErrInvalid), 2},
		{fmt.Errorf("3 files: %w", exit.ErrPart), 3},
		{wire.ErrDenied, 4},
		{wire.ErrPending, 4},
		{&fs.PathError{Op: "open", Path: "/x", Err: fs.ErrPermission}, 4},
		{fmt.Errorf("get: %w", overNetwork), 5},
		{wire.ErrConflict, 6},
		{wire.ErrUnreachable, 7},
		{wire.ErrUnavailable, 7},
		{wire.ErrIntegrity, 8},
		{context.Canceled, 130},
		{exit.Reported(wire.ErrIntegrity), 8},
	} {
		if got := exit.Code(c.err); got != c.want {
			t.Errorf("%v: code %d, want %d", c.err, got, c.want)
		}
	}
}

func tree(err error) *cobra.Command {
	root := &cobra.Command{Use: "prog"}
	root.PersistentFlags().String("output", "text", "")
	noun := &cobra.Command{Use: "noun"}
	noun.AddCommand(&cobra.Command{Use: "verb NAME", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return err }})
	root.AddCommand(noun)
	return root
}

// Whatever is wrong with the command line is code 2; what the command fails with has its own code and one document.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		args     string
		err      error
		want     int
		document bool
	}{
		{"noun verb x", nil, 0, false},
		{"", nil, 2, false},
		{"nonsense", nil, 2, false},
		{"noun nonsense", nil, 2, false},
		{"noun verb", nil, 2, false},
		{"noun verb x --nonsense", nil, 2, false},
		{"noun verb x", wire.ErrConflict, 6, false},
		{"noun verb x --output json", wire.ErrConflict, 6, true},
		{"noun verb x --output json", exit.Reported(exit.ErrPart), 3, false},
	} {
		var out, errs bytes.Buffer
		got := exit.Run(t.Context(), tree(c.err), strings.Fields(c.args), &out, &errs)
		if got != c.want {
			t.Errorf("%q with %v: code %d, want %d", c.args, c.err, got, c.want)
		}
		var p exit.Problem
		if decoded := json.Unmarshal(out.Bytes(), &p) == nil; decoded != c.document || decoded && p.Error.Exit != got {
			t.Errorf("%q with %v: on stdout %q", c.args, c.err, out.String())
		}
	}
}

// A variable of a script that is not set stands for nothing, not for the current directory.
func TestEmptied(t *testing.T) {
	for _, args := range [][]string{{"noun", "verb", ""}, {"noun", "verb", "x", "--output", ""}} {
		var out, errs bytes.Buffer
		if got := exit.Run(t.Context(), tree(nil), args, &out, &errs); got != exit.UsageCode || !strings.Contains(errs.String(), "empty") {
			t.Errorf("%q: code %d, %s", args, got, errs.String())
		}
	}
}
