//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/looming-project/looming/cmd/internal/exit"
)

// asProgram makes the test binary looming-server.
const asProgram = "LOOMING_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		exit.Main(command())
	}
	os.Exit(m.Run())
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// dataDir is one that Postgres' own user may enter, which t.TempDir's is not.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "looming")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

// What is wrong with the settings is exit code 2, the message names the setting, and nothing was made.
func TestUsage(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(file, []byte("databse: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, word string }{
		{"serve --nonsense", "nonsense"},
		{"serve extra", "extra"},
		{"", "serve"},
		{"nonsense", "nonsense"},
		{"serve --log-level loud", "loud"},
		{"serve --log-format xml", "xml"},
		{"serve --config " + file, "databse"},
		{"serve --listen nonsense", "nonsense"},
		{"serve --listen :99999", "99999"},
		{"serve --database nonsense", "database"},
		{"serve --database postgres://db.example/looming", "sslmode"},
		{"serve --volume s3://bucket", "s3://bucket"},
		{"serve --name bad_name:8443", "bad_name:8443"},
		{"rebuild-index --database nonsense", "database"},
	} {
		args := strings.Fields(c.args)
		if len(args) > 0 && args[0] != "nonsense" {
			args = append(args, "--data", data)
		}
		cmd := program(args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exit.UsageCode || !bytes.Contains(out, []byte(c.word)) {
			t.Errorf("%q: %v: %s", c.args, err, out)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a data directory was made for settings that are wrong")
	}
}

// Serve works from nothing, says where it is and what its CA is, ends with 0 when it is told to, and leaves nothing
// running; meanwhile the directory is its own. Maintenance works on what it left.
func TestServe(t *testing.T) {
	data := dataDir(t)
	cmd := program("serve", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "warn", "--output", "json")
	var document bytes.Buffer
	cmd.Stdout = &document
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(errs)
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.HasPrefix(lines.Text(), "CA fingerprint ") {
			break
		}
	}
	all := strings.Join(said, "\n")
	if !strings.Contains(all, "Looming serves at https://127.0.0.1:") || !strings.Contains(all, filepath.Join(data, "admin-password")) {
		t.Errorf("it said %s", all)
	}
	second := program("serve", "--data", data, "--listen", "127.0.0.1:0")
	if out, err := second.CombinedOutput(); second.ProcessState.ExitCode() != exit.Conflict {
		t.Errorf("a second server: %v: %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Logf("at the end: %s", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	var at map[string]string
	if err := json.Unmarshal(document.Bytes(), &at); err != nil || !strings.Contains(all, at["url"]) || !strings.Contains(all, at["ca_fingerprint"]) {
		t.Errorf("on stdout: %s: %v", document.String(), err)
	}
	if _, err := os.Stat(filepath.Join(data, "postgres", "cluster", "postmaster.pid")); err == nil {
		t.Error("Postgres still runs")
	}
	out, err := program("rebuild-index", "--data", data, "--output", "json", "--log-level", "warn").Output()
	var doc map[string]any
	if err != nil || json.Unmarshal(out, &doc) != nil || doc["packs"] != 0.0 {
		t.Errorf("rebuild-index: %v: %s", err, out)
	}
}

// Maintenance makes no server where none was.
func TestRebuildNothing(t *testing.T) {
	data := dataDir(t)
	cmd := program("rebuild-index", "--data", data)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exit.NotFound || !bytes.Contains(out, []byte(data)) {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("it made the directory")
	}
}
