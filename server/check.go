package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"

	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

// lockFile is what every server makes first in its data directory.
const lockFile = "lock"

// check finds what is wrong with the options before anything is made. Its errors are wire.ErrInvalid.
func (o *ServeOptions) check() error {
	var errs []error
	if o.Data == "" {
		errs = append(errs, fmt.Errorf("%w: the data directory: say which", wire.ErrInvalid))
	}
	if o.Listen != "" {
		errs = append(errs, checkListen(o.Listen))
	}
	if o.Database != "" {
		errs = append(errs, postgres.Check(o.Database))
	}
	for _, v := range o.Volumes {
		errs = append(errs, session.CheckVolume(v))
	}
	for _, n := range o.Names {
		errs = append(errs, checkHost(n))
	}
	return errors.Join(errs...)
}

// checkListen leaves to the system whether the host is one of this machine's.
func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%w: listen at %q: %w: want HOST:PORT or :PORT", wire.ErrInvalid, address, err)
	}
	return nil
}

// hosts are what a certificate can be for, besides addresses.
var hosts = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$`)

func checkHost(name string) error {
	if net.ParseIP(name) == nil && (len(name) > 253 || !hosts.MatchString(name)) {
		return fmt.Errorf("%w: the name %q of this server: want a host name or an address, without a port", wire.ErrInvalid, name)
	}
	return nil
}

// there refuses a directory that no server had, where one is wanted.
func (o *ServeOptions) there() error {
	if !o.existing {
		return nil
	}
	_, err := os.Stat(filepath.Join(o.Data, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data directory %s: %w: no server had it: give --data as serve has it", o.Data, wire.ErrNotFound)
	}
	return err
}
