package prefetch

import (
	"errors"
	"fmt"
)

// PlanError is a directory or a file that the tree could not tell about.
type PlanError struct {
	Op, Path string
	Err      error
}

func (e *PlanError) Error() string { return fmt.Sprintf("prefetch: %s %q: %v", e.Op, e.Path, e.Err) }

// Unwrap gives the tree's error.
func (e *PlanError) Unwrap() error { return e.Err }

// Partial is what a Filler returns when some items of a batch failed and the others are there.
type Partial struct {
	// Errs has an entry for each item of the batch, nil where it is there.
	Errs []error
}

func (e *Partial) Error() string {
	failed := e.Unwrap()
	if len(failed) == 0 {
		return "no file failed"
	}
	return fmt.Sprintf("%d of %d files failed, first: %v", len(failed), len(e.Errs), failed[0])
}

// Unwrap gives the errors of the items that failed.
func (e *Partial) Unwrap() []error {
	var failed []error
	for _, err := range e.Errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// Failure is a file, or a directory with all that is below it, that was tried several times and is not here.
type Failure struct {
	Path string
	Err  error
}

// Incomplete says that a run tried everything and some things are missing. Another run tries them again.
type Incomplete struct {
	// Count is how many files and directories are missing; First are the first of them, at most maxFailures.
	Count int
	First []Failure
}

const maxFailures = 100

func (e *Incomplete) Error() string {
	return fmt.Sprintf("prefetch: %d files or directories could not be brought, first %q: %v; the others are here, run it again to retry",
		e.Count, e.First[0].Path, e.First[0].Err)
}

// Unwrap gives the errors that are kept.
func (e *Incomplete) Unwrap() []error {
	errs := make([]error, len(e.First))
	for i, f := range e.First {
		errs[i] = f.Err
	}
	return errs
}

func (e *Incomplete) add(path string, err error) {
	if e.Count++; len(e.First) < maxFailures {
		e.First = append(e.First, Failure{path, err})
	}
}

// err is nil where nothing is missing.
func (e *Incomplete) err() error {
	if e.Count == 0 {
		return nil
	}
	return e
}

// passing says that an error is not about what was asked: it passes, or a person ends it.
func passing(err error) bool { return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrBlocked) }
