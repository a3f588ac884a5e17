package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a module of the given files and goes into it.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test/m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// test runs the tests of the module that is here.
func test(t *testing.T) (r *report, said string) {
	t.Helper()
	var out, log bytes.Buffer
	r = newReport(&out, &log)
	s := suite{report: r, short: true}
	s.tests("./...").own(t.Context())
	r.end()
	return r, out.String()
}

// Every way in which a test can end is counted once, and what failed tells
// why.
func TestCounts(t *testing.T) {
	write(t, map[string]string{
		"a/a_test.go": `package a
import "testing"
func TestGood(t *testing.T) { t.Run("one", func(t *testing.T) {}); t.Run("two", func(t *testing.T) {}) }
func TestBad(t *testing.T) { t.Error("it is bad") }
func TestSkipped(t *testing.T) { t.Skip("not here") }
`,
		"b/b_test.go": `package b
import "testing"
func TestPanics(t *testing.T) { panic("at the disco") }
`,
		"c/c_test.go": `package c
import "testing"
func TestNoBuild(t *testing.T) { undefinedThing() }
`,
		"d/d_test.go": `package d
import ("os"; "testing")
func TestMain(m *testing.M) { os.Stdout.WriteString("gave up\n"); os.Exit(3) }
`,
		"e/e.go": "package e\n",
	})
	r, said := test(t)
	if r.passed != 3 || r.failed != 4 || r.skipped != 1 {
		t.Errorf("%d passed, %d failed, %d skipped, must be 3, 4 and 1", r.passed, r.failed, r.skipped)
	}
	for _, words := range []string{"it is bad", "at the disco", "undefined: undefinedThing", "gave up", "TestSkipped"} {
		if !strings.Contains(said, words) {
			t.Errorf("%q was not said in:\n%s", words, said)
		}
	}
	if !strings.HasSuffix(said, "\n3 passed, 4 failed, 1 skipped\n") {
		t.Errorf("the last line is not the count:\n%s", said)
	}
}

func TestAllWell(t *testing.T) {
	write(t, map[string]string{"a/a_test.go": "package a\nimport \"testing\"\nfunc TestGood(t *testing.T) {}\n"})
	r, said := test(t)
	if !strings.HasSuffix(said, "\n1 passed, 0 failed\n") || !r.end() {
		t.Errorf("one good test gave:\n%s", said)
	}
}

// A run in which nothing ran is not a good one.
func TestNothingRan(t *testing.T) {
	write(t, map[string]string{"a/a.go": "package a\n"})
	r, said := test(t)
	if r.end() {
		t.Errorf("no test ran, and all was well:\n%s", said)
	}
}

// A fuzzer that finds something fails, one that does not passes, and both are
// found without a list.
func TestFuzzers(t *testing.T) {
	if testing.Short() {
		t.Skip("fuzzing is for the full run")
	}
	write(t, map[string]string{
		"a/a_test.go": `package a
import "testing"
func FuzzGood(f *testing.F) { f.Add("x"); f.Fuzz(func(t *testing.T, s string) {}) }
`,
		"deep/er/b_test.go": `package er
import "testing"
func FuzzBad(f *testing.F) { f.Add("x"); f.Fuzz(func(t *testing.T, s string) { if len(s) > 1 { t.Fatal("too long") } }) }
`,
		"a/testdata/c_test.go": "package broken, and not to be read",
	})
	var out, log bytes.Buffer
	s := suite{report: newReport(&out, &log), fuzz: 2 * time.Second}
	s.fuzzers(t.Context())
	if s.report.passed != 1 || s.report.failed != 1 || !strings.Contains(out.String(), "too long") {
		t.Errorf("%d passed and %d failed, must be one of each:\n%s", s.report.passed, s.report.failed, out.String())
	}
}

// What does not end in time is stopped and fails, and so does the run.
func TestLimit(t *testing.T) {
	write(t, map[string]string{"a/a_test.go": "package a\nimport (\"testing\"; \"time\")\nfunc TestHangs(t *testing.T) { time.Sleep(time.Hour) }\n"})
	var out, log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s := suite{report: newReport(&out, &log)}
	s.gotest(ctx, "test", "-json", "./...")
	if s.report.failed == 0 || s.report.passed != 0 {
		t.Errorf("%d passed and %d failed for a test that hangs:\n%s", s.report.passed, s.report.failed, out.String())
	}
}

func TestLongFailuresAreCut(t *testing.T) {
	var out, log bytes.Buffer
	newReport(&out, &log).fail("much", strings.Repeat("line\n", 1000)+"the end\n")
	if strings.Count(out.String(), "line\n") > shown || !strings.Contains(out.String(), "the end") {
		t.Errorf("%d lines were printed, must be the last %d", strings.Count(out.String(), "\n"), shown)
	}
	if strings.Count(log.String(), "line\n") != 1000 {
		t.Error("the log lacks lines")
	}
}
