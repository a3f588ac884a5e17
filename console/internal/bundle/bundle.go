// Package bundle builds the console's page from its TypeScript: the same bytes from the same sources, without node or
// network. What it needs of others is vendored under web/third_party.
package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// static are the files that go into the build as they are.
var static = map[string]string{
	"index.html": "src/index.html",
	"icon.svg":   "src/icon.svg",
}

// licenses are put together into licenses.txt, so that the build carries them along.
var licenses = []string{"preact", "signals", "signals-core", "inter", "jetbrains-mono"}

// Build bundles the sources below web (the console's web directory) and returns the files by name.
func Build(web string) (map[string][]byte, error) {
	dir, err := filepath.Abs(web)
	if err != nil {
		return nil, err
	}
	res := api.Build(options(dir))
	if len(res.Errors) > 0 {
		return nil, problems(res.Errors)
	}
	out := map[string][]byte{}
	for _, f := range res.OutputFiles {
		out[filepath.Base(f.Path)] = f.Contents
	}
	for name, from := range static {
		if out[name], err = os.ReadFile(filepath.Join(dir, from)); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
	}
	out["licenses.txt"], err = gather(dir)
	return out, err
}

func options(dir string) api.BuildOptions {
	return api.BuildOptions{
		AbsWorkingDir: dir,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "src/main.tsx", OutputPath: "app"},
			{InputPath: "src/theme.ts", OutputPath: "theme"},
			{InputPath: "src/style/app.css", OutputPath: "style"},
		},
		Outdir:            "dist",
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Format:            api.FormatIIFE,
		Platform:          api.PlatformBrowser,
		Target:            api.ES2022,
		Engines: []api.Engine{
			{Name: api.EngineChrome, Version: "111"}, {Name: api.EngineFirefox, Version: "114"}, {Name: api.EngineSafari, Version: "16.4"},
		},
		JSX:             api.JSXAutomatic,
		JSXImportSource: "preact",
		Tsconfig:        "tsconfig.json",
		Loader:          map[string]api.Loader{".woff2": api.LoaderFile},
		AssetNames:      "[name]",
		LegalComments:   api.LegalCommentsNone,
		Charset:         api.CharsetUTF8,
		LogLevel:        api.LogLevelSilent,
	}
}

func problems(msgs []api.Message) error {
	var errs []error
	for _, m := range msgs {
		at := ""
		if m.Location != nil {
			at = fmt.Sprintf("%s:%d:%d: ", m.Location.File, m.Location.Line, m.Location.Column)
		}
		errs = append(errs, fmt.Errorf("bundle: %s%s", at, m.Text))
	}
	return errors.Join(errs...)
}

func gather(dir string) ([]byte, error) {
	var all []byte
	for _, name := range licenses {
		b, err := os.ReadFile(filepath.Join(dir, "third_party", name, "LICENSE"))
		if err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		all = append(all, fmt.Sprintf("==== %s ====\n\n%s\n", name, b)...)
	}
	return all, nil
}
