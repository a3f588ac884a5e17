package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/looming-project/looming/vfs/cvd"
	"github.com/looming-project/looming/vfs/wire"
)

// tallyMax bounds a tally.
const tallyMax = 256 << 20

func cvdPath(name, rest string) string { return "/v1/cvds/" + url.PathEscape(name) + "/" + rest }

// CVDs lists the desktops that this device owns or is assigned.
func (c *Client) CVDs(ctx context.Context) (out []wire.CVD, err error) {
	err = c.json(ctx, request{class: Control, method: "GET", path: "/v1/cvds"}, nil, &out)
	return out, named(err, "list the desktops")
}

// Snapshots lists a desktop's snapshots, newest first.
func (c *Client) Snapshots(ctx context.Context, name string) (out []cvd.Snapshot, err error) {
	err = c.json(ctx, request{class: Control, method: "GET", path: cvdPath(name, "snapshots")}, nil, &out)
	return out, named(err, "list the snapshots of "+name)
}

// Snapshot returns one of a desktop's snapshots: by its id, a unique prefix of it, its name (see
// cvd.Snapshot.Name), or "latest", which an empty id means as well.
func (c *Client) Snapshot(ctx context.Context, name, id string) (out cvd.Snapshot, err error) {
	if id = cvd.SnapshotRef(id); id == "" {
		id = "latest"
	}
	r := request{class: Control, method: "GET", path: cvdPath(name, "snapshots/"+url.PathEscape(id))}
	err = c.json(ctx, r, nil, &out)
	return out, named(err, fmt.Sprintf("snapshot %s of %s", id, name))
}

// Tally returns what all devices learnt about the use of a desktop.
func (c *Client) Tally(ctx context.Context, name string) ([]byte, error) {
	return c.tally(ctx, cvdPath(name, "tally"), "tally of "+name)
}

// Popularity returns a tally of what several devices use, for a desktop without one.
func (c *Client) Popularity(ctx context.Context) ([]byte, error) {
	return c.tally(ctx, "/v1/popularity", "what devices use")
}

func (c *Client) tally(ctx context.Context, path, what string) ([]byte, error) {
	var out bytes.Buffer
	err := c.call(ctx, request{class: Control, method: "GET", path: path}, func(r io.Reader) error {
		out.Reset()
		_, err := out.ReadFrom(io.LimitReader(r, tallyMax))
		return err
	})
	return out.Bytes(), named(err, what)
}

// AddTally adds what was learnt here to a desktop's tally.
func (c *Client) AddTally(ctx context.Context, name string, tally []byte) error {
	r := request{class: Control, method: "POST", path: cvdPath(name, "tally"), body: tally, kind: wire.TypeBinary}
	return named(c.call(ctx, r, nil), "send the tally of "+name)
}

// Progress tells the console what this device does. It is tried once: the next one says more.
func (c *Client) Progress(ctx context.Context, p wire.Progress) error {
	b, err := jsonBody(p)
	if err != nil {
		return err
	}
	r := request{class: Control, method: "POST", path: "/v1/progress", body: b, kind: "application/json"}
	return named(c.once(ctx, r, nil), "report progress")
}

func named(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
