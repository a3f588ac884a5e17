package pgrun

import (
	"context"
	"fmt"
)

// Run says that there is no private Postgres on Windows.
func Run(context.Context, Options, func(dsn string)) error {
	return fmt.Errorf("%w: install PostgreSQL yourself and give its address with --database", ErrPlatform)
}
