package tests

import (
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayImport is the import graph: for every package of the project, the
// project's packages that it may import outside its tests. A package that is
// not here fails the test. To change a line is a design decision, and the
// commit says why.
var mayImport = map[string][]string{
	// content and what crosses the network: chunk < cvd < wire < remote
	"vfs/chunk":  {},
	"vfs/cvd":    {"vfs/chunk"},
	"vfs/wire":   {"vfs/chunk", "vfs/cvd"},
	"vfs/remote": {"vfs/chunk", "vfs/cvd", "vfs/wire"},

	// the real disk: durable < backing
	"vfs/durable": {},
	"vfs/backing": {"vfs/chunk", "vfs/cvd", "vfs/durable"},
	"vfs/scan":    {"vfs/chunk", "vfs/cvd", "vfs/wire", "vfs/remote", "vfs/durable", "vfs/backing"}, // reads straight into an upload
	"vfs/local":   {"vfs/chunk", "vfs/cvd", "vfs/durable"},

	// the virtual file system: below its hosts, and above what it reads from
	"vfs/fetch":   {"vfs/chunk", "vfs/cvd"},
	"vfs/history": {"vfs/chunk", "vfs/cvd", "vfs/fetch"}, // snapshots as trees, without a disk
	"vfs/ledger":  {},                                    // the core writes nodes into it, the host what is open
	"vfs":         {"vfs/chunk", "vfs/cvd", "vfs/durable", "vfs/backing", "vfs/fetch", "vfs/history", "vfs/ledger"},
	"vfs/keeper":  {},
	"vfs/fuse":    {"vfs", "vfs/chunk", "vfs/cvd", "vfs/backing", "vfs/fetch", "vfs/ledger"}, // fetch and backing for their errors
	"vfs/winfsp":  {"vfs", "vfs/chunk", "vfs/cvd", "vfs/backing", "vfs/fetch"},

	"prefetch":           {"vfs/chunk", "vfs/cvd"},
	"prefetch/opens":     {}, // the kernel tells it
	"prefetch/reflector": {"vfs/chunk", "vfs/cvd", "vfs/wire", "vfs/remote", "vfs/durable"},

	"pivot":        {"vfs/chunk", "vfs/cvd", "vfs/durable", "vfs/backing", "vfs/scan"},
	"pivot/policy": {},
	"pivot/merge":  {"vfs/chunk", "vfs/cvd", "pivot/policy"},

	// Tallies add up on the server, where several devices send them at once.
	"server": {"server/internal/...", "console", "prefetch", "vfs/chunk", "vfs/cvd", "vfs/wire", "vfs/durable"},
	// sis says what it must remember, and postgres remembers it.
	"server/internal/sis":      {"vfs/chunk", "vfs/wire", "vfs/durable"},
	"server/internal/postgres": {"server/internal/sis", "vfs/chunk", "vfs/cvd", "vfs/wire"},
	"server/internal/pgrun":    {"vfs/durable"},
	"server/internal/session":  {"server/internal/postgres", "server/internal/sis", "vfs/chunk", "vfs/cvd", "vfs/wire"},
	"server/internal/gc":       {"server/internal/postgres", "server/internal/sis", "vfs/chunk", "vfs/cvd"},
	"server/internal/task":     {"server/internal/postgres", "vfs/chunk", "vfs/cvd", "vfs/wire"},
	"server/internal/ca":       {"vfs/durable", "vfs/wire"},
	"server/internal/auth":     {"server/internal/postgres", "server/internal/ca", "vfs/wire"},

	// The console declares what it needs; whoever runs it brings it.
	"console":                 {"console/internal/...", "vfs/wire"},
	"console/internal/bundle": {},
	"console/portal":          {"console/internal/...", "vfs/wire"},

	"cmd/internal/exit":        {"vfs/chunk", "vfs/cvd", "vfs/wire"},
	"cmd/internal/settings":    {"cmd/internal/exit"},
	"cmd/internal/progress":    {},
	"cmd/looming":              {"cmd/internal/...", "vfs/...", "prefetch/...", "pivot/..."},
	"cmd/loomctl":              {"cmd/loomctl/internal/...", "cmd/internal/...", "vfs/chunk", "vfs/cvd", "vfs/wire", "vfs/remote", "vfs/durable"},
	"cmd/loomctl/internal/api": {"vfs/wire"},
	"cmd/looming-server":       {"cmd/internal/...", "server", "console", "console/portal", "vfs/chunk", "vfs/cvd", "vfs/wire", "vfs/durable"},

	"tools/wan":      {"tools/wan/link"},
	"tools/wan/link": {},
}

// free are folders whose packages may import anything of the project, because
// nothing of the product imports them.
var free = []string{"tests/...", "tools/bench/...", "tools/replay/...", "tools/demonstrate/...", "tools/tree/...", "tools/suite/...", "tools/measure/..."}

// owner is the package whose line of the table holds for another one: what go
// generate runs for a package, and what is for the tests of a package and of
// those that use it (conformance, fakes that are real elsewhere), belongs to
// it.
func owner(pkg string) (of string, forTests bool) {
	switch base := path.Base(pkg); {
	case base == "generate":
		return path.Dir(pkg), false
	case strings.HasSuffix(base, "test"):
		return path.Dir(pkg), true
	}
	return pkg, false
}

func TestImportGraph(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || under(s.pkg, free...) {
			continue
		}
		key, forTests := owner(s.pkg)
		allowed, known := mayImport[key]
		if !known {
			t.Errorf("%s: package %s is not in mayImport of tests/deps_test.go", s.name, s.pkg)
			continue
		}
		if forTests {
			continue
		}
		for _, name := range s.imports() {
			inside, ours := strings.CutPrefix(name, module+"/")
			if ours && inside != key && !under(inside, allowed...) {
				t.Errorf("%s: %s may not import %s", s.name, s.pkg, inside)
			}
			if _, forTests := owner(inside); ours && forTests {
				t.Errorf("%s: %s may not import %s, which is for tests", s.name, s.pkg, inside)
			}
		}
	}
}

// The graph says less than the design where it lists what does not exist, or
// lets the product import a test package.
func TestImportTable(t *testing.T) {
	for from, list := range mayImport {
		for _, to := range list {
			_, known := mayImport[to]
			if !known && !strings.HasSuffix(to, "/...") {
				t.Errorf("%s may import %s, which is not in the table", from, to)
			}
			if under(to, free...) || strings.HasSuffix(to, "test") {
				t.Errorf("%s may import %s, which is for tests", from, to)
			}
		}
	}
}

// never is what must not be linked, however long the way is.
var never = []struct{ from, to, why string }{
	{"cmd/looming", "server/...", "an endpoint knows the server by its protocol"},
	{"cmd/looming", "console/...", "an endpoint shows no console"},
	{"cmd/looming", "database/sql", "an endpoint has no database"},
	{"cmd/loomctl", "server/...", "loomctl uses the API that the console uses"},
	{"cmd/loomctl", "database/sql", "loomctl uses the API that the console uses"},
	{"vfs/...", "server/...", "an endpoint knows the server by its protocol"},
	{"vfs/...", "database/sql", "an endpoint has no database"},
	{"vfs/...", "prefetch/...", "prefetch and vfs meet in cmd"},
	{"prefetch", "vfs", "prefetch and vfs meet in cmd"},
	{"prefetch", "vfs/fuse", "prefetch and vfs meet in cmd"},
	{"prefetch/...", "database/sql", "an endpoint has no database"},
	{"pivot/...", "database/sql", "an endpoint has no database"},
	{"console/...", "server/...", "the console declares what it needs"},
	{"server/internal/...", "console/...", "only server itself brings the console what it needs"},
	{"...", "tools/...", "tools are not part of the product"},
	{"...", "testing", "the product does not link what is for tests"},
}

func TestNeverLinked(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		for _, p := range golist(t, system, "./...") {
			from := folder(p.ImportPath)
			if p.Module == nil || !p.Module.Main || apart(from) {
				continue
			}
			for _, rule := range never {
				if !under(from, rule.from) {
					continue
				}
				for _, dep := range p.Deps {
					if under(folder(dep), rule.to) {
						t.Errorf("on %s, %s links %s: %s", system, from, folder(dep), rule.why)
					}
				}
			}
		}
	}
}

// only says which packages may use which functions of the outside.
var only = []struct {
	what  string // a regular expression for the full name
	who   []string
	say   string
	allow map[string]string // package to the reason why it may all the same
}{
	{
		what: `^(\(\*os\.(File|Root)\)\.(Sync|Rename)|os\.Rename|(syscall|golang\.org/x/sys/(unix|windows))\.` +
			`(Rename\w*|Fsync|Fdatasync|Sync|Syncfs|SyncFileRange|Msync|MoveFile\w*|FlushFileBuffers|FlushViewOfFile|ReplaceFile))$`,
		who: []string{"vfs/durable"},
		say: "syncing and renaming is for vfs/durable, where crashes are injected",
	},
	{
		what: `^os\.(Getenv|LookupEnv|Environ|ExpandEnv|UserHomeDir|UserCacheDir|UserConfigDir)$|^syscall\.(Getenv|Environ)$`,
		who:  []string{"cmd/..."},
		say:  "the environment is read in cmd; take an option (for a subprocess, Cmd.Environ gives what it would inherit)",
	},
	{
		what: `^os\.Exit$|^log\.Fatal\w*$`,
		who:  []string{"cmd/..."},
		say:  "only a command ends the process; return an error",
	},
}

// apart says whether a package is not part of the product: tools, tests, what
// tests import, what go generate runs.
func apart(pkg string) bool {
	return under(pkg, "tools/...", "tests/...") || strings.HasSuffix(pkg, "test") || path.Base(pkg) == "generate"
}

func TestOnly(t *testing.T) {
	for _, system := range []string{"linux", "windows"} {
		all := uses(t, system)
		if len(all) < 100 {
			t.Fatalf("only %d uses of outside functions were found on %s: this test sees nothing", len(all), system)
		}
		for _, rule := range only {
			what := regexp.MustCompile(rule.what)
			for _, u := range all {
				if !what.MatchString(u.what) || under(u.pkg, rule.who...) || apart(u.pkg) {
					continue
				}
				if _, excused := rule.allow[u.pkg]; !excused {
					t.Errorf("%s: %s on %s: %s", place(u.pos), u.what, system, rule.say)
				}
			}
		}
	}
}

// onlyImports says which packages may import what comes from outside.
var onlyImports = []struct {
	what []string
	who  []string
	say  string
}{
	{
		[]string{"database/sql/...", "github.com/lib/pq/...", "github.com/pressly/goose/..."},
		// pgrun asks the database that it started whether it answers.
		[]string{"server/internal/postgres", "server/internal/pgrun"},
		"all SQL is in server/internal/postgres",
	},
	{
		[]string{"flag", "github.com/spf13/..."},
		[]string{"cmd/..."},
		"flags are read in cmd; take an option",
	},
	{
		[]string{"testing", "testing/...", "pgregory.net/rapid", "go.uber.org/goleak"},
		nil,
		"what is for tests is not linked into the product",
	},
	{
		[]string{"unsafe"},
		[]string{"vfs/durable", "vfs/backing", "vfs/scan", "vfs/fuse", "vfs/winfsp"},
		"unsafe is for the kernel's interfaces",
	},
}

func TestOnlyImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || apart(s.pkg) {
			continue
		}
		for _, rule := range onlyImports {
			for _, name := range s.imports() {
				if under(name, rule.what...) && !under(s.pkg, rule.who...) {
					t.Errorf("%s: imports %s: %s", s.name, name, rule.say)
				}
			}
		}
	}
}

var sql = regexp.MustCompile(`(?is)^["` + "`" + `]\s*(--.*\n\s*)*(SELECT\s.+\sFROM\s|SELECT\s+\w+\(|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|` +
	`(CREATE|ALTER|DROP)\s+(TABLE|INDEX|SCHEMA|SEQUENCE|ROLE|DATABASE)\s|COPY\s+\S+\s.*FROM\s+STDIN|LISTEN\s+\w+["` + "`" + `]|WITH\s+\w+\s+AS\s*\()`)

func TestSQLInOnePackage(t *testing.T) {
	for _, name := range files(t) {
		if strings.HasSuffix(name, ".sql") && !strings.HasPrefix(name, "server/internal/postgres/") && !foreign(name) {
			t.Errorf("%s: SQL belongs into server/internal/postgres", name)
		}
	}
	for _, s := range sources(t) {
		// pgrun makes the role and the database that it is asked for.
		if under(s.pkg, "server/internal/postgres", "server/internal/pgrun") || apart(s.pkg) || s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if ok && text.Kind == token.STRING && sql.MatchString(text.Value) {
				t.Errorf("%s: SQL belongs into server/internal/postgres", place(text.Pos()))
			}
			return true
		})
	}
}

// Rules that match nothing hold nothing: each pattern is tried on what it is
// meant to find and on what it must let through.
func TestRulesBite(t *testing.T) {
	rename := regexp.MustCompile(only[0].what)
	for name, want := range map[string]bool{
		"os.Rename": true, "(*os.File).Sync": true, "(*os.Root).Rename": true, "syscall.Fsync": true,
		"golang.org/x/sys/unix.Renameat2": true, "golang.org/x/sys/windows.MoveFileEx": true,
		"os.Remove": false, "(*os.File).Close": false, "golang.org/x/sys/unix.Unlinkat": false,
		"(*go.etcd.io/bbolt.DB).Sync": false,
	} {
		if rename.MatchString(name) != want {
			t.Errorf("the rule for vfs/durable matches %s: %v, must be %v", name, !want, want)
		}
	}
	for text, want := range map[string]bool{
		`"SELECT id FROM chunks"`: true, "`\n\tinsert into x values (1)`": true, `"UPDATE t SET a = 1"`: true,
		`"LISTEN tasks"`: true, `"WITH a AS (SELECT 1)"`: true,
		`"select a volume"`: false, `"update"`: false, `"delete the snapshot"`: false, `"listen on this address"`: false,
	} {
		if sql.MatchString(text) != want {
			t.Errorf("the rule for SQL matches %s: %v, must be %v", text, !want, want)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(mayImport)) {
		if under(p, free...) {
			t.Errorf("%s is in the table, and free of it", p)
		}
	}
}
