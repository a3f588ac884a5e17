// Package tests holds what must be true of the whole project: who may import
// whom, the house rules, and in its folders the tests that need more than one
// package.
package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/looming-project/looming"
	root   = ".." // tests run in their own folder
)

// projectFiles gives the paths of all files that are committed, or would be
// by `git add`, with slashes and relative to the top.
var projectFiles = sync.OnceValues(func() ([]string, error) {
	git := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	out, err := git.Output()
	if err != nil {
		return nil, errors.New("git ls-files failed: the house rules are checked in a git clone, with git installed: " + err.Error())
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := os.Lstat(filepath.Join(root, name))
		return errors.Is(err, fs.ErrNotExist) // deleted, not yet committed
	}), nil
})

func files(t *testing.T) []string {
	t.Helper()
	names, err := projectFiles()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Fatalf("git lists only %d files: this is not the project", len(names))
	}
	return names
}

// foreign says whether a path holds what somebody else, or a program, wrote.
func foreign(name string) bool {
	for part := range strings.SplitSeq(path.Dir(name), "/") {
		switch part {
		case "testdata", "third_party", "dist", "node_modules":
			return true
		}
	}
	return false
}

// A source is one Go file, whatever it is built for.
type source struct {
	name string // path from the top
	pkg  string // its folder
	test bool
	file *ast.File
}

var (
	fileSet    = token.NewFileSet()
	allSources = sync.OnceValues(func() ([]source, error) {
		names, err := projectFiles()
		var all []source
		for _, name := range names {
			if !strings.HasSuffix(name, ".go") || foreign(name) {
				continue
			}
			f, perr := parser.ParseFile(fileSet, filepath.Join(root, name), nil, parser.ParseComments)
			err = errors.Join(err, perr)
			if perr == nil {
				all = append(all, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), f})
			}
		}
		return all, err
	})
)

func sources(t *testing.T) []source {
	t.Helper()
	all, err := allSources()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// imports gives the import paths of a file.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// place says where something stands, for messages.
func place(pos token.Pos) string {
	p := fileSet.Position(pos)
	name, _ := filepath.Rel(root, p.Filename)
	p.Filename = filepath.ToSlash(name)
	p.Column = 0
	return p.String()
}

// A listed package is what the go command knows of it for one system.
type listed struct {
	ImportPath string
	Dir        string
	Export     string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	Deps       []string
	Module     *struct{ Main bool }
	Error      *struct{ Err string }
}

// golist asks the go command for packages and all that they link on a system.
func golist(t *testing.T, system string, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-deps", "-json=ImportPath,Dir,Export,Standard,GoFiles,CgoFiles,Deps,Module,Error"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(cmd.Environ(), "GOOS="+system, "GOFLAGS=-mod=readonly")
	if system == "windows" {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOARCH=amd64")
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v\n%s", system, err, complaints.Bytes())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// A use is a place where code names a function or a variable of a package.
type use struct {
	pkg  string // folder of who uses it
	pos  token.Pos
	what string // as types.Func.FullName says it: os.Rename, (*os.File).Sync
}

// uses gives every use of a function that is declared outside the project, by
// code that is not a test, as the type checker resolves it on one system.
func uses(t *testing.T, system string) []use {
	t.Helper()
	packages := golist(t, system, "-export", "./...")
	exports := map[string]string{}
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	gc := importer.ForCompiler(fileSet, "gc", func(name string) (io.ReadCloser, error) {
		return os.Open(exports[name])
	})
	var all []use
	for _, p := range packages {
		if p.Module == nil || !p.Module.Main {
			continue
		}
		if p.Error != nil {
			t.Errorf("%s does not build for %s: %s", p.ImportPath, system, p.Error.Err)
		}
		all = append(all, p.uses(t, gc)...)
	}
	return all
}

func (p listed) uses(t *testing.T, gc types.Importer) []use {
	t.Helper()
	var parsed []*ast.File
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		rel, err := filepath.Rel(mustAbs(root), filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		// The go command also lists files that it generates.
		if strings.HasPrefix(rel, "..") {
			continue
		}
		f, err := parser.ParseFile(fileSet, filepath.Join(root, rel), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	// A package that does not build was reported; the rest of it is checked.
	conf := types.Config{Importer: gc, FakeImportC: true, Error: func(error) {}}
	conf.Check(p.ImportPath, fileSet, parsed, info)
	var all []use
	for id, object := range info.Uses {
		f, ok := object.(*types.Func)
		if ok && f.Pkg() != nil && !strings.HasPrefix(f.Pkg().Path(), module) {
			all = append(all, use{folder(p.ImportPath), id.Pos(), f.Origin().FullName()})
		}
	}
	return all
}

// folder is where an import path of the project lies.
func folder(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func mustAbs(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		panic(err)
	}
	return abs
}

// under says whether a folder is one of the given ones; "x/..." stands for x
// and everything beneath it, "..." for all.
func under(folder string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		above, deep := strings.CutSuffix(pattern, "...")
		above = strings.TrimSuffix(above, "/")
		return folder == pattern || deep && (above == "" || folder == above || strings.HasPrefix(folder, above+"/"))
	})
}
