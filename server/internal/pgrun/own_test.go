//go:build unix

package pgrun_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/looming-project/looming/server/internal/pgrun"
	"github.com/looming-project/looming/server/internal/pgrun/pgtest"
)

// ownerOf is the user id of what lies there, not of what it leads to.
func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func mustBeRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("run the tests as root: only root has something to lose to Postgres' user")
	}
}

// put makes a file or link of that user's.
func put(t *testing.T, path, text, link string, uid uint32) {
	t.Helper()
	_ = os.Remove(path) // it may be there
	if link != "" {
		if err := os.Symlink(link, path); err != nil {
			t.Fatal(err)
		}
	} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, int(uid), -1); err != nil {
		t.Fatal(err)
	}
}

// A Postgres that says its socket is in a directory of root's does not get that directory: it is stopped, and started
// where we want it. A number in its file that is another program's is not signalled.
func TestSocketElsewhere(t *testing.T) {
	mustBeRoot(t)
	base := pgtest.Dir(t)
	dir, victim := filepath.Join(base, "postgres"), filepath.Join(base, "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	first := run(t, dir)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	uid := ownerOf(t, filepath.Join(dir, "cluster"))
	kill := startChild(t, dir)
	pidfile := filepath.Join(dir, "cluster", "postmaster.pid")
	b, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	kill()
	before := postmaster(t, dir)
	lines := strings.Split(string(b), "\n")
	lines[4] = victim
	if err := os.WriteFile(pidfile, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, dir)
	if !strings.Contains(r.dsn, filepath.Join(dir, "run")) {
		t.Errorf("it serves at %s", r.dsn)
	}
	if after := postmaster(t, dir); after == before {
		t.Errorf("postmaster %d was adopted", before)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(victim)
	if err != nil || info.Mode().Perm() != 0o755 || ownerOf(t, victim) == uid {
		t.Errorf("root's directory changed: %v, %v", info, err)
	}
}

// An earlier version's directory, which Postgres' user owned and filled with links, is taken back, and no link is
// followed.
func TestLinksOfPostgres(t *testing.T) {
	mustBeRoot(t)
	base := pgtest.Dir(t)
	dir := filepath.Join(base, "postgres")
	r := run(t, dir)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	uid := ownerOf(t, filepath.Join(dir, "cluster"))
	secret := filepath.Join(base, "secret")
	put(t, secret, "root's own", "", 0)
	if err := os.Chown(dir, int(uid), -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"start.log", "looming.conf", "log/start.log", "cluster/looming.conf"} {
		put(t, filepath.Join(dir, name), "", secret, uid)
	}
	r = run(t, dir)
	if got := value(t, r.dsn, `select current_setting('max_wal_size')`); got != "512MB" {
		t.Errorf("max_wal_size is %s: looming.conf is not read", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "root's own" || ownerOf(t, secret) != 0 {
		t.Errorf("root's file: %q, %v", b, err)
	}
	if info, err := os.Stat(dir); err != nil || ownerOf(t, dir) != 0 || info.Mode().Perm() != 0o711 {
		t.Errorf("the directory was not taken back: %v, %v", info, err)
	}
	for name, want := range map[string]uint32{"start.log": 0, "looming.conf": 0, "cluster": uid, "log": uid, "run": uid} {
		if got := ownerOf(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
}

// A link in the place of one of Postgres' directories is refused, and what it leads to stays as it is.
func TestLinkedDirectories(t *testing.T) {
	mustBeRoot(t)
	for _, name := range []string{"log", "run", "cluster"} {
		base := pgtest.Dir(t)
		dir, victim := filepath.Join(base, "postgres"), filepath.Join(base, "victim")
		for _, d := range []string{dir, victim} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		put(t, filepath.Join(victim, "PG_VERSION"), "15\n", "", 0)
		put(t, filepath.Join(dir, name), "", victim, 65534)
		if _, err := tryRun(t, pgrun.Options{Dir: dir}); !errors.Is(err, pgrun.ErrOwner) {
			t.Errorf("%s is a link: %v", name, err)
		}
		if info, err := os.Stat(victim); err != nil || info.Mode().Perm() != 0o755 || ownerOf(t, victim) != 0 {
			t.Errorf("%s: root's directory changed: %v, %v", name, info, err)
		}
	}
}

// Where all may write, a directory that root has already is not given away.
func TestSocketDirectoryOfRoot(t *testing.T) {
	mustBeRoot(t)
	deep := filepath.Join(pgtest.Dir(t), strings.Repeat("deep/", 20), "postgres")
	if err := os.MkdirAll(filepath.Dir(deep), 0o755); err != nil {
		t.Fatal(err)
	}
	r := run(t, deep)
	socket := strings.Trim(strings.TrimPrefix(strings.Fields(r.dsn)[0], "host="), "'")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(socket, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(socket)
	if _, err := tryRun(t, pgrun.Options{Dir: deep}); !errors.Is(err, pgrun.ErrOwner) {
		t.Errorf("root's directory in the place of the socket's: %v", err)
	}
	if ownerOf(t, socket) != 0 {
		t.Error("it was given away")
	}
}
