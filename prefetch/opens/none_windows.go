package opens

import (
	"context"
	"errors"
	"fmt"
)

// Run is for systems that tell of opens.
func Run(context.Context, string, Used, Options) error {
	return fmt.Errorf("what is opened on a native desktop can be watched on Linux only: %w", errors.ErrUnsupported)
}
