// Package pgtest gives tests databases of a real Postgres.
//
// One private Postgres serves all tests of a package:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestX(t *testing.T) { dsn := pgtest.Database(t) ... }
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/lib/pq" // the driver

	"github.com/looming-project/looming/server/internal/pgrun"
)

var (
	shared  string // connection string of the package's Postgres
	counter atomic.Int64
)

// Main runs the tests of a package with a private Postgres and returns the exit code. That Postgres does not sync,
// which only a power cut would notice.
func Main(m *testing.M) int {
	dir, err := NewDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	code := 1
	if err := with(dir, func(dsn string) { shared = dsn; code = m.Run() }); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return 1
	}
	return code
}

func with(dir string, run func(dsn string)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready, ended := make(chan string, 1), make(chan error, 1)
	o := pgrun.Options{
		Dir: filepath.Join(dir, "postgres"), Log: slog.New(slog.DiscardHandler),
		Settings: map[string]string{"fsync": "off", "shared_buffers": "32MB"},
	}
	go func() { ended <- pgrun.Run(ctx, o, func(dsn string) { ready <- dsn }) }()
	select {
	case err := <-ended:
		return err
	case dsn := <-ready:
		run(dsn)
	}
	cancel()
	return <-ended
}

// NewDir makes a directory that Postgres' own user may enter, which t.TempDir's is not. Remove it afterwards.
func NewDir() (string, error) {
	dir, err := os.MkdirTemp("", "looming")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// Dir is NewDir for one test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Database makes an empty database for one test and returns its connection string.
func Database(t testing.TB) string {
	t.Helper()
	if shared == "" {
		t.Fatal("pgtest.Main does not run: add it as the package's TestMain")
	}
	name := fmt.Sprintf("test%d", counter.Add(1))
	exec(t, `create database `+name)
	t.Cleanup(func() { exec(t, `drop database `+name+` with (force)`) })
	return strings.Replace(shared, "dbname=looming", "dbname="+name, 1)
}

func exec(t testing.TB, statement string) {
	t.Helper()
	db, err := sql.Open("postgres", shared)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
