package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Programs is the directory of the built commands.
type Programs string

// Build builds the commands into dir. It must run within the module.
func Build(ctx context.Context, dir string) (Programs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"looming", "looming-server", "loomctl"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), "github.com/looming-project/looming/cmd/"+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return Programs(dir), nil
}

func (p Programs) path(name string) string { return filepath.Join(string(p), name) }
