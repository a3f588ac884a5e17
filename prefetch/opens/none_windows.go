package opens

import (
	"context"
	"errors"
)

// Run is for systems that tell of opens.
func Run(context.Context, string, Used, Options) error {
	return errors.New("what is opened on a native desktop can be watched on Linux only")
}
