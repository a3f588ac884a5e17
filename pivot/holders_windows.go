package pivot

import (
	"context"
	"errors"

	"golang.org/x/sys/windows"
)

// noHolders sees nobody: on Windows the host itself refuses to unmount while files are open, and says so.
type noHolders struct{}

func defaultHolders() HolderFinder { return noHolders{} }

// Holders finds none.
func (noHolders) Holders(context.Context, string) ([]Holder, error) { return nil, nil }

// isBusy reports whether an unmount failed because of users.
func isBusy(err error) bool {
	return errors.Is(err, windows.ERROR_BUSY) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, ErrBusy)
}
