//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/server"
)

// config is admin.json of a real server that runs for all tests.
var config string

func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "looming")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // Postgres' user must pass
		return 1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	o := server.ServeOptions{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Ready: func(server.Address) { close(ready) }}
	o.Names = []string{"desktops.example.org"}
	o.Log = slog.New(slog.DiscardHandler)
	go func() { ended <- server.Serve(ctx, o) }()
	select {
	case err := <-ended:
		return 1, err
	case <-ready:
	}
	config = filepath.Join(o.Data, "admin.json")
	code = run()
	cancel()
	return code, errors.Join(<-ended)
}

// loomctl runs the program against the server.
func loomctl(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = exit.Run(t.Context(), command(), append([]string{"--config", config}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// Every command works on a new server, as text and as one JSON document.
func TestCommands(t *testing.T) {
	for _, c := range []struct{ args, text string }{
		{"device list", "no devices"},
		{"token list", "no tokens"},
		{"cvd list", "no desktops"},
		{"stream list", "nothing goes on"},
		{"volume list", "volume"},
		{"stats", "endpoints"},
		{"verify", "0 damaged"},
		{"user list", "admin"},
		{"audit list", "add user"},
		{"limit list", "no limits"},
	} {
		args := strings.Fields(c.args)
		if code, out, errs := loomctl(t, args...); code != exit.OK || !strings.Contains(out, c.text) {
			t.Errorf("%s: code %d: %s %s", c.args, code, out, errs)
		}
		code, out, errs := loomctl(t, append(args, "--output", "json")...)
		if code != exit.OK || !json.Valid([]byte(out)) {
			t.Errorf("%s as JSON: code %d: %s %s", c.args, code, out, errs)
		}
	}
}

// Tokens, users and volumes can be made, seen and removed.
func TestChanges(t *testing.T) {
	code, token, errs := loomctl(t, "token", "create", "--uses", "3", "--ttl", "10m")
	if code != exit.OK || len(strings.TrimSpace(token)) != 26 || !strings.Contains(errs, "looming enroll https://desktops.example.org:") {
		t.Fatalf("code %d: %s %s", code, token, errs)
	}
	if _, out, _ := loomctl(t, "token", "list"); !strings.Contains(out, "admin") {
		t.Errorf("tokens: %s", out)
	}
	var l list[enrolToken]
	_, out, _ := loomctl(t, "token", "list", "--output", "json")
	if err := json.Unmarshal([]byte(out), &l); err != nil || len(l.Items) != 1 || l.Items[0].Uses != 3 {
		t.Fatalf("%s: %v", out, err)
	}
	if code, _, errs := loomctl(t, "token", "remove", fmt.Sprint(l.Items[0].ID)); code != exit.OK {
		t.Error(errs)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("a long password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	volume := t.TempDir()
	for _, c := range []struct {
		args string
		code int
	}{
		{"user add eve --password-file " + file, exit.OK},
		{"user add eve --password-file " + file, exit.Conflict},
		{"user passwd eve", exit.OK},
		{"user end-tokens eve", exit.OK},
		{"user end-tokens nobody", exit.NotFound},
		{"admin passwd nobody", exit.NotFound},
		{"user remove eve", exit.OK},
		{"user remove eve", exit.NotFound},
		{"user remove admin", exit.Conflict},
		{"user add b/c", exit.UsageCode},
		{"volume add relative", exit.UsageCode},
		{"volume add s3://bucket", exit.UsageCode},
		{"volume add " + file, exit.UsageCode},
		{"volume add " + filepath.Dir(file), exit.Conflict},
		{"volume add " + filepath.Join(volume, "typo"), exit.NotFound},
		{"volume add " + volume, exit.OK},
		{"volume drain " + volume, exit.OK},
		{"volume remove " + volume, exit.OK},
		{"volume remove " + volume, exit.NotFound},
		{"cvd assign x y", exit.NotFound},
		{"cvd own x y", exit.NotFound},
		{"cvd own x", exit.UsageCode},
		{"snapshot list x", exit.NotFound},
		{"device list --state odd", exit.UsageCode},
		{"limit set --subnet 10.1.0.0/16 --days mon,fri --hours 22:00-06:00 --download 250kB --upload 100kB", exit.OK},
		{"limit set --device nobody --download 1MB", exit.NotFound},
		{"limit set --subnet 10.1 --download 1MB", exit.UsageCode},
		{"limit set --hours 25:00-26:00 --download 1MB", exit.UsageCode},
		{"limit set --download much", exit.UsageCode},
		{"limit set --download 16kB", exit.UsageCode},
		{"limit set --upload 16kB", exit.UsageCode},
		{"limit set --download 64kB --demand", exit.UsageCode},
		{"limit list", exit.OK},
		{"limit remove 1", exit.OK},
		{"limit remove 1", exit.NotFound},
	} {
		if code, out, errs := loomctl(t, strings.Fields(c.args)...); code != c.code {
			t.Errorf("%s: code %d, want %d: %s %s", c.args, code, c.code, out, errs)
		}
	}
}

// What is wrong says so by its exit code, and with --output json in one document.
func TestErrors(t *testing.T) {
	code, out, _ := loomctl(t, "device", "show", "nobody", "--output", "json")
	var p exit.Problem
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != exit.NotFound || p.Error.Code != "not-found" || p.Error.Exit != code {
		t.Errorf("code %d: %s", code, out)
	}
	bad := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(bad, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rubbish := filepath.Join(t.TempDir(), "rubbish")
	if err := os.WriteFile(rubbish, []byte("\x7fELF\n\x00\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		word string
	}{
		{"stats --token-file " + rubbish, exit.UsageCode, "token"},
		{"stats --server nonsense", exit.UsageCode, "https://"},
		{"token create --ttl -1h", exit.UsageCode, "uses"},
		{"token create --uses 0", exit.UsageCode, "uses"},
		{"audit list --limit 0", exit.UsageCode, "limit"},
		{"stats --token-file " + bad, exit.Denied, "not known"},
		{"stats --server https://127.0.0.1:1", exit.OutOfReach, "does looming-server run there"},
		{"stats --server http://127.0.0.1:1", exit.UsageCode, "https://"},
		{"stats --ca /nonexistent", exit.NotFound, "admin.json"},
		{"stats --ca " + bad, exit.UsageCode, "PEM"},
		{"stats --config " + empty, exit.UsageCode, "--server"},
		{"stats --config " + empty + " --server https://127.0.0.1:1", exit.UsageCode, "--token-file"},
	} {
		if code, _, errs := loomctl(t, strings.Fields(c.args)...); code != c.code || !strings.Contains(errs, c.word) {
			t.Errorf("%s: code %d, want %d and %q: %s", c.args, code, c.code, c.word, errs)
		}
	}
}

// A server whose certificate comes from another CA is not talked to.
func TestForeignServer(t *testing.T) {
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var access map[string]string
	if err := json.Unmarshal(b, &access); err != nil {
		t.Fatal(err)
	}
	delete(access, "ca") // then only the system's authorities count
	b, err = json.Marshal(access)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "admin.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := loomctl(t, "stats", "--config", file); code != exit.Denied || !strings.Contains(errs, "--ca") {
		t.Errorf("code %d: %s", code, errs)
	}
}

// Names of strangers do not steer the terminal.
func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31mb\n\u009bc ü"); got != "a?[31mb??c ü" {
		t.Errorf("%q", got)
	}
}

// Watching goes on until it is interrupted, which is exit code 130.
func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &until{lines: 2, then: cancel}
	code := exit.Run(ctx, command(), []string{"--config", config, "stream", "list", "--watch", "--output", "json"}, out, out)
	if code != exit.Interrupted {
		t.Errorf("code %d", code)
	}
}

// until calls then after so many writes.
type until struct {
	lines int
	then  func()
}

func (u *until) Write(p []byte) (int, error) {
	if u.lines--; u.lines == 0 {
		u.then()
	}
	return len(p), nil
}
