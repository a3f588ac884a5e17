package e2e

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/looming-project/looming/tools/tree/odd"
)

// noise gives n bytes that nobody has seen before and that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// fill makes a desktop of files that no server has: small ones, large ones, and
// everything odd.
func fill(t *testing.T, dir string, small, large int) {
	t.Helper()
	for i := range small {
		sub := filepath.Join(dir, fmt.Sprintf("small-%02d", i/50))
		must(t, os.MkdirAll(sub, 0o755))
		must(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), noise(200+37*(i%100)), 0o644))
	}
	for i := range large {
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("large-%d", i)), noise(5<<20), 0o644))
	}
	must(t, os.Mkdir(filepath.Join(dir, "odd"), 0o755))
	must(t, odd.Make(filepath.Join(dir, "odd")))
}
