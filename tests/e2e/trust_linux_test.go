package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/tests/e2e/lab"
)

// denied is the exit code for what is not allowed.
const denied = 4

// TestNotLetIn: whoever is not approved, shows a certificate of somebody else,
// wants what is another's, or was revoked, is refused, and it is logged
// (invariant 8).
func TestNotLetIn(t *testing.T) {
	r := serving(t)
	root := r.path("root")
	must(t, os.Mkdir(root, 0o755))
	must(t, os.WriteFile(filepath.Join(root, "file"), noise(1000), 0o644))
	owner := r.endpoint("owner", "")
	r.snapshot(owner, "desk", root)

	t.Run("unapproved", func(t *testing.T) {
		s := r.stranger("stranger", "")
		_, err := s.Snapshot(r.ctx, "mine", root)
		refused(t, "a snapshot of a device that never asked in", err, denied)
		p, err := lab.Start(s.Command("enroll", s.URL, "--ca", s.CA, "--name", s.Name))
		r.stopped(p, err)
		r.until("the device waits for its approval", func() bool { return strings.Contains(p.Said(), "approve") })
		_, err = s.Snapshot(r.ctx, "mine", root)
		refused(t, "a snapshot of a device that waits", err, denied)
		must(t, r.server.Admin(r.ctx, "POST", "devices/stranger/approve", nil, nil))
		_, err = p.Wait(r.ctx)
		must(t, err)
		r.snapshot(s, "mine", root)
	})

	t.Run("wrong token", func(t *testing.T) {
		s := r.stranger("guesser", "")
		_, err := lab.Run(r.ctx, s.Command("enroll", s.URL, "--ca", s.CA, "--name", s.Name, "--token", "AAAAAAAAAAAAAAAAAAAAAAAAAA"))
		refused(t, "enrolling with a token that nobody made", err, denied)
		r.logged("guesser")
	})

	t.Run("another's desktop", func(t *testing.T) {
		other := r.endpoint("other", "")
		_, err := other.Stream(r.ctx, "desk", r.path("stolen"))
		if ended, ok := err.(*lab.Ended); !ok || ended.Code != denied && ended.Code != 5 {
			t.Errorf("streaming another's desktop ended with %v, want exit code 4, or 5 as if there were none", err)
		}
		_, err = other.Snapshot(r.ctx, "desk", root)
		refused(t, "a snapshot into another's desktop", err, denied)
	})

	t.Run("another's certificate", func(t *testing.T) {
		r.foreign(t, owner)
	})

	t.Run("revoked", func(t *testing.T) {
		out := r.endpoint("out", "")
		r.snapshot(out, "outs", root)
		point := r.path("outs")
		r.stopped(out.Mount(r.ctx, "outs", point))
		must(t, r.server.Admin(r.ctx, "POST", "devices/out/revoke", nil, nil))
		if _, err := os.ReadFile(filepath.Join(point, "file")); err == nil {
			t.Error("a revoked device was given a file")
		}
		_, err := out.Snapshot(r.ctx, "outs", root)
		refused(t, "a snapshot of a revoked device", err, denied)
		r.logged("out")
	})
}

// foreign wants a device with a certificate of another server's CA, and one
// with the certificate of another device but not its key, to be refused.
func (r *rig) foreign(t *testing.T, owner *lab.Endpoint) {
	elsewhere := serving(t)
	e := elsewhere.endpoint("owner", "")
	must(t, os.WriteFile(filepath.Join(e.State, "ca.pem"), read(t, r.server.CA()), 0o600))
	var device map[string]any
	must(t, json.Unmarshal(read(t, filepath.Join(e.State, "device.json")), &device))
	device["url"] = r.server.URL()
	text, err := json.Marshal(device)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(e.State, "device.json"), text, 0o600))
	_, err = e.Snapshot(r.ctx, "desk", r.path("root"))
	refused(t, "a device of the same name with a certificate of another server", err, denied)

	must(t, os.WriteFile(filepath.Join(e.State, "cert.pem"), read(t, filepath.Join(owner.State, "cert.pem")), 0o600))
	if _, err = e.Snapshot(r.ctx, "desk", r.path("root")); err == nil {
		t.Error("the certificate of another device was good without its key")
	}
}

// logged wants the server's log or its audit to tell of a refusal.
func (r *rig) logged(device string) {
	r.Helper()
	r.until("the server's log tells that "+device+" was refused", func() bool {
		for line := range strings.Lines(r.server.Process().Said()) {
			if strings.Contains(line, "level=WARN") && strings.Contains(line, device) {
				return true
			}
		}
		return false
	})
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}
