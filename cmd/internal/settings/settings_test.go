package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
)

type given struct {
	listen  string
	volumes []string
	output  settings.Output
}

// run runs a program with one setting of each kind; file is nil or the file's text.
func run(t *testing.T, file, args []string) (given, error) {
	t.Helper()
	path := ""
	if file != nil {
		path = filepath.Join(t.TempDir(), "server.yaml")
		if err := os.WriteFile(path, []byte(file[0]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var g given
	var c settings.Common
	root := &cobra.Command{Use: "prog", SilenceErrors: true, SilenceUsage: true}
	settings.Bind(root, &c, path)
	serve := &cobra.Command{Use: "serve", RunE: func(*cobra.Command, []string) error { g.output = c.Output; return nil }}
	serve.Flags().StringVar(&g.listen, "listen", "default", "")
	serve.Flags().StringArrayVar(&g.volumes, "volume", nil, "")
	other := &cobra.Command{Use: "other", Run: func(*cobra.Command, []string) {}}
	other.Flags().String("elsewhere", "", "")
	root.AddCommand(serve, other)
	root.SetArgs(append([]string{"serve"}, args...))
	err := root.Execute()
	return g, err
}

// Flags beat the environment, which beats the file, which beats defaults.
func TestOrder(t *testing.T) {
	file := []string{"listen: file\nvolume: [a, b]\nelsewhere: x\noutput: json\n"}
	check := func(args []string, file []string, want given) {
		t.Helper()
		var got given
		var err error
		if got, err = run(t, file, args); err != nil {
			t.Fatal(err)
		}
		if got.listen != want.listen || !slices.Equal(got.volumes, want.volumes) || got.output != want.output {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	check(nil, nil, given{"default", nil, settings.Text})
	check(nil, file, given{"file", []string{"a", "b"}, settings.JSON})
	t.Setenv("LOOMING_LISTEN", "environment")
	t.Setenv("LOOMING_VOLUME", "c,d")
	check(nil, file, given{"environment", []string{"c", "d"}, settings.JSON})
	check([]string{"--listen", "flag", "--output", "text"}, file, given{"flag", []string{"c", "d"}, settings.Text})
}

// What nobody knows, and values that do not fit, are errors of usage.
func TestUnknown(t *testing.T) {
	for _, file := range []string{"lisen: x", "listen: {a: b}", "listen: [a, b]", "output: xml", "]["} {
		if _, err := run(t, []string{file}, nil); !errors.Is(err, exit.ErrUsage) {
			t.Errorf("file %q: %v", file, err)
		}
	}
	if _, err := run(t, nil, []string{"--config", "/nonexistent/file"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	t.Setenv("LOOMING_TEST_ANYTHING", "x")
	t.Setenv("LOOMING_STATE", "of the endpoint")
	if _, err := run(t, nil, nil); err != nil {
		t.Errorf("variables of other programs: %v", err)
	}
	t.Setenv("LOOMING_LISEN", "x")
	if _, err := run(t, nil, nil); !errors.Is(err, exit.ErrUsage) {
		t.Errorf("an unknown variable: %v", err)
	}
}
