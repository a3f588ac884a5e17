package settings

import (
	"os"
	"path/filepath"
	"runtime"
)

// ServerData is where a server keeps its data when it is not told.
func ServerData() string { return place("looming-server", "/var/lib/looming-server") }

// EndpointState is where an endpoint keeps what it knows when it is not told.
func EndpointState() string { return place("looming", "/var/lib/looming") }

func place(name, system string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), name)
	}
	if os.Geteuid() == 0 {
		return system
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, name)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return system
	}
	return filepath.Join(home, ".local", "state", name)
}
