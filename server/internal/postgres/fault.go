package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/looming-project/looming/vfs/wire"
)

// retryable are codes after which the same transaction may well succeed.
var retryable = []pqerror.Code{pqerror.TRSerializationFailure, pqerror.TRDeadlockDetected}

// states is the one table from SQLSTATE, or its class of two letters, to what it means across the network.
var states = map[string]error{
	"08":    wire.ErrUnavailable, // connection exceptions
	"0A000": wire.ErrInternal,
	"22":    wire.ErrInvalid,     // values that do not fit
	"23":    wire.ErrConflict,    // constraints
	"25006": wire.ErrUnavailable, // read-only: connected to a standby
	"40":    wire.ErrUnavailable, // others came between, too often
	"53":    wire.ErrUnavailable, // too many connections, out of memory
	"53100": wire.ErrFull,        // disk full
	"55P03": wire.ErrUnavailable, // lock timeout
	"57":    wire.ErrUnavailable, // shutdown, crash, starting up
	"58":    wire.ErrUnavailable, // I/O errors
}

// fault names what failed and adds the sentinel that fits. The errors of contexts and those that have a sentinel
// already keep their meaning.
func fault(op string, err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return &Fault{Op: op + ": " + f.Op, Means: f.Means, Cause: f.Cause} // what failed within, say, a transaction
	}
	sentinel := meaning(err)
	if sentinel == nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &Fault{Op: op, Means: sentinel, Cause: err}
}

// Fault is an error of the database with its meaning. What is told to others is Public; the cause is for the log.
type Fault struct {
	Op    string
	Means error
	Cause error
}

// Error has the cause.
func (f *Fault) Error() string { return f.Public() + ": " + f.Cause.Error() }

// Public is what failed and why, without what only the server's admin should see.
func (f *Fault) Public() string {
	switch {
	case errors.Is(f.Means, wire.ErrUnavailable):
		return f.Op + ": the database is out of reach, repeat"
	case errors.Is(f.Means, wire.ErrFull):
		return f.Op + ": the disk of the database is full, an admin must make room"
	}
	return f.Op + ": " + f.Means.Error()
}

// Unwrap gives both.
func (f *Fault) Unwrap() []error { return []error{f.Means, f.Cause} }

// meaning is a sentinel for an error that has none yet.
func meaning(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return wire.ErrNotFound
	}
	if pe := pq.As(err); pe != nil {
		code := string(pe.Code)
		if m, ok := states[code]; ok {
			return m
		}
		return states[code[:min(2, len(code))]]
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	var netErr net.Error
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, gone) {
			return wire.ErrUnavailable
		}
	}
	if errors.As(err, &netErr) {
		return wire.ErrUnavailable
	}
	return nil
}
