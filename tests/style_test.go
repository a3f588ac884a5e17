package tests

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// top is what the top level holds, beside dot files.
var top = []string{
	"vfs", "prefetch", "pivot", "server", "console", "cmd", "tools", "tests",
	"go.mod", "go.sum", "README.md", "LICENSE",
}

func TestTopLevel(t *testing.T) {
	for _, name := range files(t) {
		first, _, _ := strings.Cut(name, "/")
		if !strings.HasPrefix(first, ".") && !slices.Contains(top, first) {
			t.Errorf("%s: the top level has only %s", name, strings.Join(top, " "))
		}
	}
}

// maxLines is where a file stops. Look twice at 400.
const maxLines = 600

var program = []string{".go", ".ts", ".tsx", ".css", ".sql", ".sh", ".py"}

// written gives the files of program text that people wrote.
func written(t *testing.T) map[string][]byte {
	t.Helper()
	texts := map[string][]byte{}
	for _, name := range files(t) {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		script := path.Ext(name) == "" && info.Mode().IsRegular() && info.Mode()&0o111 != 0
		if foreign(name) || !script && !slices.Contains(program, path.Ext(name)) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !generated.Match(text) {
			texts[name] = text
		}
	}
	return texts
}

var generated = regexp.MustCompile(`(?m)^(//|/\*|--|#) Code generated .* DO NOT EDIT\.`)

func TestFileLength(t *testing.T) {
	for name, text := range written(t) {
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s: %d lines, must be at most %d", name, n, maxLines)
		}
	}
}

// The markers are spelled in two parts, so that this file does not hold them.
var markers = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK|not imple` + `mented)\b`)

func TestNoMarkers(t *testing.T) {
	for name, text := range written(t) {
		for i, line := range bytes.Split(text, []byte("\n")) {
			if found := markers.Find(line); found != nil {
				t.Errorf("%s:%d: %q: do it, or leave it out and say so in the docs", name, i+1, found)
			}
		}
	}
}

var vague = []string{
	"util", "utils", "common", "helper", "helpers", "type", "types", "manager", "managers", "misc", "base", "core", "lib", "shared",
}

func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range []string{path.Base(s.pkg), strings.TrimSuffix(s.file.Name.Name, "_test")} {
			if slices.Contains(vague, name) {
				t.Errorf("%s: %q says nothing about what is in the package", s.name, name)
			}
		}
	}
}

func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		// A package of tests alone documents itself in one of them.
		key := s.pkg
		text := s.file.Doc.Text()
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		right := strings.HasPrefix(text, "Package "+name+" ") || name == "main" && strings.HasPrefix(text, "Command ")
		if text != "" && !right && !s.test {
			t.Errorf("%s: the package doc must begin with \"Package %s\", or \"Command\" and the command's name", s.name, name)
		}
		documented[key] = documented[key] || right
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s: the package has no doc comment", pkg)
		}
	}
}

// sleeps are the files outside tests that may call time.Sleep, and why.
var sleeps = map[string]string{
	"vfs/vfstest/fault_linux.go": "the suite sends signals to another process, whose delivery nothing announces",
}

// No loose sleeps: waiting is on a channel, a timer and a context, so that it
// ends when the call does.
func TestNoSleeps(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || sleeps[s.name] != "" {
			continue
		}
		for _, call := range calls(s.file) {
			if selected(call, "time", "Sleep") {
				t.Errorf("%s: time.Sleep: wait for a timer or a context, or say in tests/style_test.go why not", place(call.Pos()))
			}
		}
	}
}

// skips are the tests that may skip themselves for another reason than -short
// or missing rights, and what reason.
var skips = map[string]string{
	"vfs/vfstest.Run": "a host that cannot do a thing says so, with the reason, in Lacks",
}

// A test that is skipped proves nothing, so who may is listed: what a machine
// lacks makes a test fail, with words about what to install.
func TestSkipsAreListed(t *testing.T) {
	unused := map[string]bool{}
	for name := range skips {
		unused[name] = true
	}
	for _, s := range sources(t) {
		guarded := guards(s.file)
		for _, declaration := range s.file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			// A benchmark proves nothing; it may want a corpus that is not there.
			if !ok || f.Body == nil || strings.HasPrefix(f.Name.Name, "Benchmark") {
				continue
			}
			name := s.pkg + "." + f.Name.Name
			for _, call := range calls(f.Body) {
				if !skip(call) || slices.ContainsFunc(guarded, func(n ast.Node) bool { return n.Pos() <= call.Pos() && call.Pos() < n.End() }) {
					continue
				}
				delete(unused, name)
				if skips[name] == "" {
					t.Errorf("%s: %s skips: make it fail with words, or list it in skips of tests/style_test.go", place(call.Pos()), name)
				}
			}
		}
	}
	for name := range unused {
		t.Errorf("skips of tests/style_test.go lists %s, which does not skip", name)
	}
}

// skip says whether a call is t.Skip, t.Skipf or t.SkipNow.
func skip(call *ast.CallExpr) bool {
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name)
}

// guards gives the bodies of if statements that ask testing.Short, or whether
// the user is root.
func guards(f *ast.File) []ast.Node {
	asks := func(c *ast.CallExpr) bool {
		return selected(c, "testing", "Short") || selected(c, "os", "Getuid") || selected(c, "os", "Geteuid")
	}
	var bodies []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		branch, ok := n.(*ast.IfStmt)
		if ok && slices.ContainsFunc(calls(branch.Cond), asks) {
			bodies = append(bodies, branch.Body)
		}
		return true
	})
	return bodies
}

// An error is known by its identity, not by its text.
func TestNoErrorTextMatching(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				f, ok := n.Fun.(*ast.SelectorExpr)
				if ok && matching(f) && slices.ContainsFunc(n.Args, errorText) {
					t.Errorf("%s: the text of an error is matched: use errors.Is or errors.As", place(n.Pos()))
				}
			case *ast.BinaryExpr:
				if (n.Op.String() == "==" || n.Op.String() == "!=") && (errorText(n.X) || errorText(n.Y)) {
					t.Errorf("%s: the text of an error is compared: use errors.Is or errors.As", place(n.Pos()))
				}
			}
			return true
		})
	}
}

func matching(f *ast.SelectorExpr) bool {
	x, ok := f.X.(*ast.Ident)
	return ok && (x.Name == "strings" || x.Name == "regexp") || strings.HasPrefix(f.Sel.Name, "Match")
}

// errorText says whether an expression is a call of a method Error.
func errorText(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) > 0 {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && f.Sel.Name == "Error"
}

// selected says whether a call is of pkg.name.
func selected(call *ast.CallExpr, pkg, name string) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != name {
		return false
	}
	x, ok := f.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// calls gives all calls beneath a node.
func calls(n ast.Node) []*ast.CallExpr {
	var found []*ast.CallExpr
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			found = append(found, call)
		}
		return true
	})
	return found
}

// A clone must be possible on every system.
func TestFileNames(t *testing.T) {
	bad := regexp.MustCompile(`[<>:"\\|?*\x00-\x1f]|[ .](/|$)|(?i)(^|/)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|/|$)`)
	lower := map[string]string{}
	for _, name := range files(t) {
		if bad.MatchString(name) {
			t.Errorf("%q: Windows cannot hold a file of this name", name)
		}
		if other, ok := lower[strings.ToLower(name)]; ok {
			t.Errorf("%s and %s differ only in case", name, other)
		}
		lower[strings.ToLower(name)] = name
	}
}

// The rules see what they are meant to see.
func TestStyleRulesBite(t *testing.T) {
	if n := len(written(t)); n < 50 {
		t.Errorf("only %d files of program text were found", n)
	}
	for _, text := range []string{"// TO" + "DO: x", "return errors.New(\"not imple" + "mented\")", "XX" + "X"} {
		if !markers.MatchString(text) {
			t.Errorf("%q was not found", text)
		}
	}
	for _, text := range []string{"mktemp -d /tmp/xXXXXXX", "toDos"} {
		if markers.MatchString(text) {
			t.Errorf("%q was found", text)
		}
	}
	sources := sources(t)
	i := slices.IndexFunc(sources, func(s source) bool { return s.name == "tests/style_test.go" })
	if i < 0 || len(guards(sources[i].file)) != 0 || len(calls(sources[i].file)) < 50 {
		t.Error("this file was not read as it is")
	}
}
