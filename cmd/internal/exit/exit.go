// Package exit ends a command: it turns an error into the exit code and the words that the design promises.
package exit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/looming-project/looming/vfs/chunk"
	"github.com/looming-project/looming/vfs/wire"
)

// The exit codes of all commands.
const (
	OK          = 0
	Failed      = 1
	UsageCode   = 2
	PartCode    = 3
	Denied      = 4
	NotFound    = 5
	Conflict    = 6
	OutOfReach  = 7
	Integrity   = 8
	Interrupted = 130
)

var (
	// ErrUsage says that flags, arguments or settings are wrong.
	ErrUsage = errors.New("usage")
	// ErrPart says that a part is missing in what was done.
	ErrPart = errors.New("done in part")
)

// codes is the one table from error to exit code; the first that fits counts.
var codes = []struct {
	err  error
	code int
	name string
}{
	{ErrUsage, UsageCode, "usage"},
	{ErrPart, PartCode, "part"},
	{wire.ErrDenied, Denied, "denied"},
	{wire.ErrPending, Denied, "pending"},
	{wire.ErrIntegrity, Integrity, "integrity"},
	{chunk.ErrDamaged, Integrity, "integrity"},
	{wire.ErrNotFound, NotFound, "not-found"},
	{chunk.ErrNotFound, NotFound, "not-found"},
	{wire.ErrConflict, Conflict, "conflict"},
	{wire.ErrIncomplete, Conflict, "incomplete"},
	{wire.ErrExpired, Conflict, "expired"},
	{wire.ErrUnreachable, OutOfReach, "unreachable"},
	{wire.ErrUnavailable, OutOfReach, "unavailable"},
	{wire.ErrInvalid, UsageCode, "invalid"},
	{wire.ErrFull, Failed, "full"},
	{wire.ErrInternal, Failed, "internal"},
	{context.Canceled, Interrupted, "interrupted"},
	{fs.ErrPermission, Denied, "denied"},
	{fs.ErrNotExist, NotFound, "not-found"},
	{fs.ErrExist, Conflict, "conflict"},
	{syscall.ENOSPC, Failed, "full"},
}

// Code is the exit code for an error; 0 for nil.
func Code(err error) int {
	code, _ := lookup(err)
	return code
}

func lookup(err error) (int, string) {
	if err == nil {
		return OK, "ok"
	}
	if e, ok := errors.AsType[ended](err); ok {
		return int(e), "failed"
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code, c.name
		}
	}
	return Failed, "failed"
}

// Usage is an error with exit code 2.
func Usage(format string, args ...any) error {
	return usage{fmt.Errorf(format, args...)}
}

type usage struct{ error }

func (u usage) Is(target error) bool { return target == ErrUsage }
func (u usage) Unwrap() error        { return u.error }

// Reported marks an error that the command has told already, on stdout in the form that --output asked for: only the
// exit code is left to do. A snapshot with unreadable files ends so.
func Reported(err error) error {
	if err == nil {
		return nil
	}
	return reported{err}
}

type reported struct{ error }

func (r reported) Unwrap() error { return r.error }

// As is the end of a process that told its error itself, with its exit code.
func As(code int) error {
	if code == OK {
		return nil
	}
	return Reported(ended(code))
}

type ended int

func (e ended) Error() string { return fmt.Sprintf("it ended with %d", int(e)) }

// Problem is the document that a failed command prints on stdout with --output json.
type Problem struct {
	Error struct {
		// Code is a word for programs: one of wire's codes, or usage, part, unreachable, interrupted, failed.
		Code    string `json:"code"`
		Exit    int    `json:"exit"`
		Message string `json:"message"`
	} `json:"error"`
}

// Main runs a command tree with the process' arguments and ends the process. Interrupt and SIGTERM end the context;
// a second one ends the process at once.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // gives the signals their usual effect back
	os.Exit(Run(ctx, root, os.Args[1:], os.Stdout, os.Stderr))
}

// Run is Main without the process: it returns the exit code.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	prepare(root)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return OK
	}
	code := Code(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		code = Interrupted
	}
	report(cmd, err, stdout, stderr)
	return code
}

func report(cmd *cobra.Command, err error, stdout, stderr io.Writer) {
	if _, ok := errors.AsType[reported](err); ok {
		return
	}
	if f := cmd.Flag("output"); f != nil && f.Value.String() == "json" {
		var p Problem
		p.Error.Exit, p.Error.Code = lookup(err)
		p.Error.Message = err.Error()
		_ = json.NewEncoder(stdout).Encode(p) // nobody reads it if this fails
	}
	fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
	if errors.Is(err, ErrUsage) {
		fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
	}
}

// prepare makes what cobra finds wrong about the command line an error of usage.
func prepare(c *cobra.Command) {
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := errors.Join(check(c, args), emptied(c, args)); err != nil {
			return usage{err}
		}
		return nil
	}
	if !c.Runnable() && c.HasSubCommands() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = verbMissing
	}
	for _, sub := range c.Commands() {
		prepare(sub)
	}
}

// emptied finds arguments, and flags that have a default, which were given as nothing: a variable of a script that is
// not set must not stand for the current directory, or for everything.
func emptied(c *cobra.Command, args []string) (err error) {
	if slices.Contains(args, "") {
		err = errors.New("an argument is empty")
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.DefValue != "" {
			err = fmt.Errorf("--%s is empty: leave it out for its default, %s", f.Name, f.DefValue)
		}
	})
	return err
}

// verbMissing is what a command does that has only subcommands.
func verbMissing(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage("there is no command %q", args[0])
	}
	fmt.Fprint(c.ErrOrStderr(), c.UsageString())
	return Reported(Usage("say which command"))
}
