package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/vfs/remote"
	"github.com/looming-project/looming/vfs/remote/remotetest"
	"github.com/looming-project/looming/vfs/wire"
)

// What is wrong with the arguments is an error of usage, and nothing is kept of it.
func TestEnrollUsage(t *testing.T) {
	s, state := remotetest.New(t), filepath.Join(t.TempDir(), "state")
	rubbish := filepath.Join(t.TempDir(), "ca.pem")
	mustDo(t, os.WriteFile(rubbish, []byte("rubbish"), 0o600))
	for _, args := range [][]string{
		{""},
		{"not-a-url"},
		{"ftp://x"},
		{"http://127.0.0.1:1"},
		{s.URL + "/foo"},
		{s.URL, "--ca-fingerprint", "zz"},
		{s.URL, "--ca", rubbish},
	} {
		fails(t, exit.UsageCode, "", state, append([]string{"enroll"}, args...)...)
	}
	fails(t, exit.NotFound, "nonexistent", state, "enroll", s.URL, "--ca", "/nonexistent")
	if _, err := os.Stat(state); err == nil {
		t.Error("it left a state directory")
	}
}

// A request that was refused is in the way of no other; whom the device trusts is checked each time it is said.
func TestEnrollAfterRefusal(t *testing.T) {
	s, state := remotetest.New(t), filepath.Join(t.TempDir(), "state")
	fingerprint, err := remote.Fingerprint(s.CA)
	mustDo(t, err)
	s.Fault = func(string, *http.Request) error { return wire.ErrConflict }
	fails(t, exit.Conflict, "", state, "enroll", s.URL, "--name", "taken", "--ca-fingerprint", strings.ToUpper(fingerprint))
	fails(t, exit.Denied, "not enrolled", state, "snapshot")
	s.Fault = func(string, *http.Request) error { return wire.ErrInternal }
	fails(t, exit.Failed, "", state, "enroll", s.URL, "--name", "free", "--ca-fingerprint", fingerprint)
	s.Fault = nil

	fails(t, exit.Denied, "waits for its approval", state, "snapshot")
	fails(t, exit.Conflict, "remove "+filepath.Join(state, deviceFile), state, "enroll", s.URL, "--name", "another")
	fails(t, exit.UsageCode, "", state, "enroll", s.URL, "--name", "free", "--ca-fingerprint", "zz")
	fails(t, exit.Denied, "fingerprint", state, "enroll", s.URL, "--name", "free", "--ca-fingerprint", strings.Repeat("0", 64))
	fails(t, exit.NotFound, "", state, "enroll", s.URL, "--name", "free", "--ca", "/nonexistent")
	s.Token("t")
	var doc enrolled
	ok(t, &doc, state, "enroll", s.URL, "--name", "free", "--token", "t", "--ca-fingerprint", fingerprint)

	mustDo(t, os.Remove(filepath.Join(state, deviceFile)))
	s.Approve("anew")
	ok(t, &doc, state, "enroll", s.URL, "--name", "anew", "--ca-fingerprint", fingerprint)
	if _, err := openDevice(state); err != nil || doc.Device != "anew" {
		t.Errorf("enrolled anew: %+v, %v", doc, err)
	}
}
