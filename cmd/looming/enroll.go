package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"

	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/wire"
	"github.com/spf13/cobra"
)

// enrolling is one run of `looming enroll`.
type enrolling struct {
	*app
	url, token, caPath, fingerprint, name string
	in                                    *os.File
	// before: the device has asked in an earlier run.
	before bool
}

// enrolled is what `looming enroll --output json` prints.
type enrolled struct {
	// Device is the device's name, Server its server, Key the SHA-256 of its public key.
	Device string `json:"device"`
	Server string `json:"server"`
	Key    string `json:"key_fingerprint"`
	// CA is the SHA-256 of the server's CA certificate.
	CA string `json:"ca_fingerprint"`
}

func enrollCommand(a *app) *cobra.Command {
	e := &enrolling{app: a, in: os.Stdin}
	cmd := &cobra.Command{
		Use:   "enroll URL",
		Short: "ask a server in, and wait until an admin approves",
		Long: `enroll makes a key for this device, which never leaves it, and asks the server at URL for a certificate. An admin
approves it (` + "`loomctl device approve NAME`" + `), or a one-time token does. Interrupted, the same command goes on waiting;
refused, nothing of the request is left, and another name or server can be tried.

The server is known by its CA. Give it with --ca, or give its fingerprint, or on a terminal compare the fingerprint with
the one that the server prints when it starts.

With --output json the document has device, server, key_fingerprint and ca_fingerprint.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e.url = strings.TrimSuffix(args[0], "/")
			if err := e.check(); err != nil {
				return err
			}
			return e.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.token, "token", "", "one-time `token` that approves the device at once")
	f.StringVar(&e.caPath, "ca", "", "`file` with the certificate of the server's CA, in PEM")
	f.StringVar(&e.fingerprint, "ca-fingerprint", "", "SHA-256 of the CA's certificate, in `hex`, instead of the file")
	f.StringVar(&e.name, "name", "", "the device's `name` (default: the machine's)")
	return cmd
}

// check finds what is wrong with the arguments before anybody is asked.
func (e *enrolling) check() error {
	if u, err := url.Parse(e.url); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return invalid("the server's address is %q: want https://HOST:PORT", e.url)
	}
	if e.fingerprint == "" {
		return nil
	}
	e.fingerprint = strings.ToLower(strings.NewReplacer(":", "", " ", "", "sha256", "", "SHA256", "").Replace(e.fingerprint))
	if b, err := hex.DecodeString(e.fingerprint); err != nil || len(b) != sha256.Size {
		return invalid("--ca-fingerprint: want the 64 hexadecimal digits of a SHA-256")
	}
	return nil
}

func (e *enrolling) run(ctx context.Context) error {
	d, err := e.device(ctx)
	if err != nil {
		return err
	}
	c, err := d.client(remote.Limits{}, e.notice)
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := e.ask(ctx, c, d)
	if err != nil {
		return errors.Join(err, e.refused(d, err))
	}
	if err := d.keep([]byte(reply.Certificate)); err != nil {
		return err
	}
	ca, err := remote.Fingerprint(d.ca)
	if err != nil {
		return err
	}
	return e.print(enrolled{d.Name, d.URL, reply.Fingerprint, ca}, func() {
		fmt.Fprintf(e.out, "%s is enrolled at %s.\n", d.Name, d.URL)
	})
}

// device is the one that asked before, or a new one.
func (e *enrolling) device(ctx context.Context) (*device, error) {
	d, err := readDevice(e.dir)
	if err == nil {
		e.before = true
		return d, e.again(ctx, d)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if e.name == "" {
		if e.name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("this machine has no name (%w): give one with --name", err)
		}
	}
	d = &device{URL: e.url, Name: e.name, dir: e.dir}
	if d.ca, err = e.ca(ctx); err != nil {
		return nil, err
	}
	if d.key, err = remote.NewKey(); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(e.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(e.dir, 0o700); err != nil {
		return nil, err
	}
	return d, d.save()
}

// refused forgets a request that the server does not take, so that it is in the way of no other. One that waited
// before goes on waiting when only the token that was to speed it up is not good.
func (e *enrolling) refused(d *device, err error) error {
	if e.before && e.token != "" {
		return nil
	}
	for _, final := range []error{wire.ErrDenied, wire.ErrConflict, wire.ErrInvalid} {
		if errors.Is(err, final) {
			return d.forget()
		}
	}
	return nil
}

// again checks that a device that asked before asks for the same, of the same server.
func (e *enrolling) again(ctx context.Context, d *device) error {
	switch {
	case d.cert.Leaf != nil:
		return fmt.Errorf("%w: this device is enrolled already, at %s as %s: to enroll it anew, remove %s", wire.ErrConflict, d.URL, d.Name, d.file(deviceFile))
	case d.URL != e.url, e.name != "" && d.Name != e.name:
		return fmt.Errorf("%w: this device waits for its approval at %s as %s: to ask elsewhere, or by another name, remove %s", wire.ErrConflict, d.URL, d.Name, d.file(deviceFile))
	case e.caPath == "" && e.fingerprint == "":
		return nil // it is the CA that was compared then
	}
	ca, err := e.ca(ctx)
	if err != nil || bytes.Equal(ca, d.ca) {
		return err
	}
	d.ca = ca
	return d.save()
}

// ca is the server's CA: given, or fetched and compared.
func (e *enrolling) ca(ctx context.Context) ([]byte, error) {
	b, err := e.offered(ctx)
	if err != nil {
		return nil, fmt.Errorf("the server's CA: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(b) {
		return nil, invalid("%s holds no certificate in PEM", cmp.Or(e.caPath, e.url+"/v1/ca"))
	}
	have, err := remote.Fingerprint(b)
	if err != nil || e.caPath != "" && e.fingerprint == "" {
		return b, err
	}
	return b, e.compare(have)
}

// offered is the CA of the file, or else the one that the server says it stands under.
func (e *enrolling) offered(ctx context.Context) ([]byte, error) {
	if e.caPath != "" {
		return os.ReadFile(e.caPath)
	}
	return remote.FetchCA(ctx, e.url, remote.Limits{})
}

// compare has the fingerprint of an unknown CA compared by a person, or with the flag.
func (e *enrolling) compare(have string) error {
	if e.fingerprint != "" {
		if have != e.fingerprint {
			return fmt.Errorf("%w: the CA of the server at %s has the fingerprint %s, not %s: do not enroll there before you know why",
				wire.ErrDenied, e.url, have, e.fingerprint)
		}
		return nil
	}
	if _, ok := terminal(e.in); !ok {
		return invalid("the server at %s is not known here; its CA has the fingerprint %s. Compare that with the one the server prints "+
			"and give it with --ca-fingerprint, or give the CA's certificate with --ca", e.url, have)
	}
	fmt.Fprintf(e.err, "The CA of the server at %s has the fingerprint (SHA-256)\n\n  %s\n\n"+
		"Compare it with the one that the server prints. Is it the same? [y/N] ", e.url, have)
	line, err := bufio.NewReader(e.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return fmt.Errorf("%w: the fingerprint was not confirmed", wire.ErrDenied)
	}
	return nil
}

// ask asks in and waits.
func (e *enrolling) ask(ctx context.Context, c *remote.Client, d *device) (wire.EnrollReply, error) {
	csr, err := remote.CSR(d.key, d.Name)
	if err != nil {
		return wire.EnrollReply{}, err
	}
	host, _ := os.Hostname() // may have none
	told := false
	return c.Enroll(ctx, wire.EnrollRequest{Name: d.Name, Host: host, OS: runtime.GOOS, CSR: csr, Token: e.token}, func(r wire.EnrollReply) {
		if told {
			return
		}
		told = true
		fmt.Fprintf(e.err, "Waiting until an admin approves %s (`loomctl device approve %s`).\n", d.Name, d.Name)
		if r.Fingerprint != "" {
			fmt.Fprintf(e.err, "The fingerprint of its key is %s.\n", r.Fingerprint)
		}
	})
}
