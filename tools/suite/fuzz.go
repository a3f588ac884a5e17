package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
)

// A fuzzer is a fuzz test and the folder of its package.
type fuzzer struct{ folder, name string }

// fuzzers runs every fuzz test of the project for a while, one after another.
func (s *suite) fuzzers(ctx context.Context) {
	found, err := findFuzzers(".")
	if err != nil {
		s.report.fail("finding the fuzzers", err.Error()+"\n")
		return
	}
	for _, f := range found {
		if ctx.Err() != nil {
			return
		}
		name := fmt.Sprintf("fuzzing %s %s for %v", f.folder, f.name, s.fuzz)
		s.take(ctx, command(name, nil, "go", "test", "-vet=off", "-run=^$", "-fuzz=^"+f.name+"$", "-fuzztime="+s.fuzz.String(), "./"+f.folder))
	}
}

// findFuzzers finds functions FuzzX in test files that build on this system.
func findFuzzers(top string) ([]fuzzer, error) {
	var found []fuzzer
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_windows_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				folder, err := filepath.Rel(top, filepath.Dir(path))
				if err != nil {
					return err
				}
				found = append(found, fuzzer{filepath.ToSlash(folder), f.Name.Name})
			}
		}
		return nil
	})
	return found, err
}
