//go:build unix

package pgrun_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/looming-project/looming/server/internal/pgrun"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
)

// childDir makes the test binary a server that runs Postgres there until it is killed.
const childDir = "LOOMING_PGRUN_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		err := pgrun.Run(context.Background(), pgrun.Options{Dir: dir}, func(dsn string) { os.Stdout.WriteString(dsn + "\n") })
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// startChild runs a server in another process until it is killed, which leaves its Postgres.
func startChild(t *testing.T, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
}

// running is a Run under test.
type running struct {
	dsn  string
	stop func() error // once
}

func run(t *testing.T, dir string) running {
	t.Helper()
	r, err := tryRun(t, pgrun.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryRun(t *testing.T, o pgrun.Options) (running, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- pgrun.Run(ctx, o, func(dsn string) { ready <- dsn }) }()
	select {
	case err := <-ended:
		cancel()
		return running{}, err
	case dsn := <-ready:
		stopped := false
		r := running{dsn, func() error {
			if stopped {
				return nil
			}
			stopped = true
			cancel()
			return <-ended
		}}
		t.Cleanup(func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
		return r, nil
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// eventually repeats an attempt until it succeeds: what a client of a database that restarts does.
func eventually(t *testing.T, attempt func() error) {
	t.Helper()
	var err error
	for range 600 {
		if err = attempt(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal(err)
}

func value(t *testing.T, dsn, query string) (v string) {
	t.Helper()
	if err := open(t, dsn).QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "cluster", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// What was committed is there after a clean stop and a new start, nothing listens on TCP, and the settings that make
// crashes harmless are on.
func TestStopAndStart(t *testing.T) {
	dir := filepath.Join(pgtest.Dir(t), "postgres")
	r := run(t, dir)
	must(t, open(t, r.dsn), `create table kept as select 42 as v`)
	for name, want := range map[string]string{
		"listen_addresses": "", "fsync": "on", "full_page_writes": "on",
		"synchronous_commit": "on", "data_checksums": "on", "max_wal_size": "512MB", "server_encoding": "UTF8",
	} {
		if got := value(t, r.dsn, `select current_setting('`+name+`')`); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop, a postmaster seems to run: %v", err)
	}
	if got := value(t, run(t, dir).dsn, `select v from kept`); got != "42" {
		t.Errorf("kept %s, want 42", got)
	}
}

// Invariant 2: a kill -9 of the server leaves Postgres running; the next server adopts it with all its connections.
func TestServerKilled(t *testing.T) {
	dir := filepath.Join(pgtest.Dir(t), "postgres")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	dsn := strings.TrimSpace(string(line[:n]))
	db := open(t, dsn)
	must(t, db, `create table kept as select 42 as v`)
	before := postmaster(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed

	r := run(t, dir)
	if r.dsn != dsn {
		t.Errorf("the connection string changed from %s to %s", dsn, r.dsn)
	}
	if after := postmaster(t, dir); after != before {
		t.Errorf("postmaster %d was not adopted: now %d", before, after)
	}
	must(t, db, `insert into kept values (43)`)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if cwd, err := os.Readlink("/proc/" + strconv.Itoa(before) + "/cwd"); err == nil {
		t.Errorf("the adopted postmaster was not stopped: it works in %s", cwd)
	}
}

// Invariant 2: a kill -9 of Postgres loses nothing committed, and it is started again while clients retry.
func TestPostgresKilled(t *testing.T) {
	dir := filepath.Join(pgtest.Dir(t), "postgres")
	r := run(t, dir)
	db := open(t, r.dsn)
	must(t, db, `create table kept as select 42 as v`)
	for range 2 {
		before := postmaster(t, dir)
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			var pid, v int
			if err := db.QueryRow(`select v from kept`).Scan(&v); err != nil {
				return err
			}
			if pid = postmaster(t, dir); pid == before {
				return errors.New("the killed postmaster still answers")
			}
			return nil
		})
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

// An adopted postmaster that dies is replaced too, and both killed at once leaves a directory that starts.
func TestBothKilled(t *testing.T) {
	dir := filepath.Join(pgtest.Dir(t), "postgres")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	pid := postmaster(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := run(t, dir)
	if got := value(t, r.dsn, `select 'up'`); got != "up" {
		t.Error(got)
	}
}

// An initdb that was cut off is begun again; what is no cluster, or another version's, is left alone and named.
func TestOddDirectories(t *testing.T) {
	base := pgtest.Dir(t)
	half := filepath.Join(base, "half")
	if err := os.MkdirAll(filepath.Join(half, "cluster.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, half)

	foreign := filepath.Join(base, "foreign")
	if err := os.MkdirAll(filepath.Join(foreign, "cluster"), 0o700); err != nil {
		t.Fatal(err)
	}
	treasure := filepath.Join(foreign, "cluster", "treasure")
	if err := os.WriteFile(treasure, []byte("gold"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryRun(t, pgrun.Options{Dir: foreign}); err == nil || !strings.Contains(err.Error(), "is no cluster") {
		t.Errorf("a directory that is no cluster: %v", err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "cluster", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryRun(t, pgrun.Options{Dir: foreign}); !errors.Is(err, pgrun.ErrVersion) {
		t.Errorf("a cluster of version 9: %v", err)
	}
	if b, err := os.ReadFile(treasure); err != nil || string(b) != "gold" {
		t.Errorf("it was wiped: %q %v", b, err)
	}
	if _, err := tryRun(t, pgrun.Options{Dir: filepath.Join(base, "none"), Bin: base}); !errors.Is(err, pgrun.ErrNoBinaries) {
		t.Errorf("without binaries: %v", err)
	}
}

// Deep directories work, though the path of a socket is short; so do odd characters and symbolic links.
func TestOddPaths(t *testing.T) {
	base := pgtest.Dir(t)
	deep := filepath.Join(base, strings.Repeat("deep/", 20)+"it's, here")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(deep, link); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(link, "postgres")
	r := run(t, dir)
	if got := value(t, r.dsn, `select 'up'`); got != "up" {
		t.Error(got)
	}
	if err := syscall.Kill(postmaster(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	db := open(t, r.dsn)
	eventually(t, func() error { return db.Ping() })
}

// A cluster that this user may not use is refused, with what to do.
func TestWrongOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("run the tests as root: only root can make a directory of somebody else")
	}
	base := pgtest.Dir(t)
	data := filepath.Join(base, "postgres", "cluster")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryRun(t, pgrun.Options{Dir: filepath.Dir(data)}); !errors.Is(err, pgrun.ErrOwner) {
		t.Errorf("a cluster of root's: %v", err)
	}
	closed := filepath.Join(base, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := tryRun(t, pgrun.Options{Dir: filepath.Join(closed, "data", "postgres")})
	if !errors.Is(err, pgrun.ErrOwner) || !strings.Contains(err.Error(), "chmod o+x "+closed) {
		t.Errorf("below a directory that Postgres may not enter: %v", err)
	}
}
