// Package settings fills the flags of a command from the environment and a file: flags over LOOMING_... variables over
// the file over defaults. Keys that nobody knows are errors, so that a typing mistake is not a silent default.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/looming-project/looming/cmd/internal/exit"
)

// prefix of environment variables: LOOMING_DATA_DIR is --data-dir.
const prefix = "LOOMING_"

// known are the flags that programs share the environment for: one that is set for looming must not stop loomctl.
var known = []string{
	"addr", "backing", "ca", "config", "cvd", "data", "database", "listen", "log-format", "log-level", "name", "no-hydrate", "output",
	"root", "server", "snapshot", "state", "token", "token-file", "volume",
}

// ours are beginnings of variables of the project's own tools and tests.
var ours = []string{"TEST_", "DEMO_", "BENCH_", "TOOLS_"}

// Output is the value of --output.
type Output string

// The forms of output.
const (
	Text Output = "text"
	JSON Output = "json"
)

// String implements pflag.Value.
func (o *Output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *Output) Type() string { return "text|json" }

// Set implements pflag.Value.
func (o *Output) Set(v string) error {
	if v != string(Text) && v != string(JSON) {
		return errors.New("the forms are text and json")
	}
	*o = Output(v)
	return nil
}

// Common are the flags of every command.
type Common struct {
	Output Output
	// Config is the file; empty where none was given.
	Config string
}

// Bind adds the common flags to a program, and has all its commands filled before they run. file is read if it exists
// and no other is given; it may be empty.
func Bind(root *cobra.Command, c *Common, file string) {
	c.Output = Text
	root.PersistentFlags().Var(&c.Output, "output", "`form` of what is printed on stdout: text or json")
	usage := "a YAML `file` with settings"
	if file != "" {
		usage += " (default " + file + ", if it exists)"
	}
	root.PersistentFlags().StringVar(&c.Config, "config", "", usage)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return Load(cmd, file) }
}

// Load fills what was not given on the command line.
func Load(cmd *cobra.Command, file string) error {
	env, err := environment(cmd.Root(), os.Environ())
	if err != nil {
		return err
	}
	if err := fill(cmd, env, func(key string) string { return prefix + variable(key) }); err != nil {
		return err
	}
	required := false
	if f := cmd.Flag("config"); f != nil && f.Changed {
		file, required = f.Value.String(), true
	}
	fromFile, err := read(cmd.Root(), file, required)
	if err != nil {
		return err
	}
	return fill(cmd, fromFile, func(key string) string { return file + ": " + key })
}

func variable(key string) string { return strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

// fill sets the flags that are not set yet.
func fill(cmd *cobra.Command, values map[string][]string, where func(key string) string) error {
	for key, vs := range values {
		f := cmd.Flag(key)
		if f == nil || f.Changed {
			continue
		}
		if err := set(f, vs); err != nil {
			return exit.Usage("%s: %w", where(key), err)
		}
		f.Changed = true
	}
	return nil
}

func set(f *pflag.Flag, values []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(values)
	}
	if len(values) != 1 {
		return errors.New("one value, please")
	}
	return f.Value.Set(values[0])
}

// environment picks the LOOMING_... variables. A list is separated by commas.
func environment(root *cobra.Command, environ []string) (map[string][]string, error) {
	flags := flagsOf(root)
	values := map[string][]string{}
	for _, kv := range environ {
		name, v, _ := strings.Cut(kv, "=")
		name, mine := strings.CutPrefix(name, prefix)
		if !mine || slices.ContainsFunc(ours, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		f, ok := flags[key]
		if !ok && !slices.Contains(known, key) {
			return nil, exit.Usage("the environment has %s%s, which no setting is called", prefix, name)
		}
		values[key] = []string{v}
		if ok && isList(f) {
			values[key] = strings.Split(v, ",")
		}
	}
	return values, nil
}

func isList(f *pflag.Flag) bool {
	_, ok := f.Value.(pflag.SliceValue)
	return ok
}

// flagsOf are all flags of a program, whichever command has them.
func flagsOf(c *cobra.Command) map[string]*pflag.Flag {
	all := map[string]*pflag.Flag{}
	collect := func(f *pflag.Flag) { all[f.Name] = f }
	c.Flags().VisitAll(collect)
	c.PersistentFlags().VisitAll(collect)
	for _, sub := range c.Commands() {
		for _, f := range flagsOf(sub) {
			collect(f)
		}
	}
	return all
}

// read reads a file whose keys are names of flags. JSON is YAML too.
func read(root *cobra.Command, file string, required bool) (map[string][]string, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	var doc map[string]value
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, exit.Usage("settings: %s: %w", file, err)
	}
	flags := flagsOf(root)
	values := map[string][]string{}
	for key, v := range doc {
		if _, ok := flags[key]; !ok || key == "config" {
			return nil, exit.Usage("settings: %s: there is no setting %q", file, key)
		}
		values[key] = v
	}
	return values, nil
}

// value is a scalar or a list of scalars, as written.
type value []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *value) UnmarshalYAML(n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		*v = value{n.Value}
		return nil
	case yaml.SequenceNode:
		*v = value{}
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: a list of plain values, please", item.Line)
			}
			*v = append(*v, item.Value)
		}
		return nil
	}
	return fmt.Errorf("line %d: a value or a list of values, please", n.Line)
}
