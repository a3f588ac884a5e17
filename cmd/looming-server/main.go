// Command looming-server keeps desktops and serves them: the protocol for endpoints, the API and the console for admins.
package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
)

func main() { exit.Main(command()) }

// configFile is read if it exists and no other is given.
const configFile = "/etc/looming/server.yaml"

func command() *cobra.Command {
	var common settings.Common
	root := &cobra.Command{
		Use:     "looming-server",
		Short:   "Keeps desktops and serves them",
		Version: version(),
	}
	settings.Bind(root, &common, configFile)
	root.AddCommand(serveCommand(&common), rebuildCommand(&common))
	return root
}

// version is the module's, or the commit's.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "development"
}
