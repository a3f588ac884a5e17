// Command generate writes console/web/dist. Run it through go generate ./console.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/console/internal/bundle"
)

func main() {
	log.SetFlags(0)
	if err := write("web"); err != nil {
		log.Fatal(err)
	}
}

// write replaces dist by a fresh build: nothing of an older one stays.
func write(web string) error {
	files, err := bundle.Build(web)
	if err != nil {
		return err
	}
	dist := filepath.Join(web, "dist")
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dist, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
