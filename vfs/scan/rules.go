package scan

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/looming-project/looming/vfs/cvd"
)

// rules say what is not the desktop's.
type rules struct {
	patterns []pattern
	// own are Looming's directories, by device and inode.
	own map[[2]uint64]bool
	// others: other file systems are entered.
	others bool
	// machine: the root is a machine's, so what the kernel mounts there is recognised by its place too.
	machine bool
}

// pattern is one exclusion.
type pattern struct {
	glob string
	// dirs: the pattern ended in a slash and is for directories alone.
	dirs bool
}

// newRules checks the patterns. One with a slash at its start, or within it, is for
// paths from the root on; any other for names anywhere. "*" stays within a name, "**" does not.
func newRules(o *Options) (*rules, error) {
	r := &rules{own: map[[2]uint64]bool{}, others: o.OtherFilesystems, machine: o.Root == "/"}
	for _, p := range o.Exclude {
		glob, dirs := strings.CutSuffix(p, "/")
		if !strings.Contains(glob, "/") {
			glob = "**/" + glob
		}
		glob = strings.TrimPrefix(glob, "/")
		if glob == "" || glob == "**/" || !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("exclusion %q is not a pattern", p)
		}
		r.patterns = append(r.patterns, pattern{glob, dirs})
	}
	for _, path := range o.Skip {
		d, err := openRoot(path)
		if vanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var st stat
		err = d.self(&st)
		d.close()
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", path, err)
		}
		r.own[[2]uint64{st.dev, st.Ino}] = true
	}
	return r, nil
}

// excluded says whether an entry of n is left out.
func (r *rules) excluded(n *node, e *ent) bool {
	isDir := e.st.kind() == cvd.Dir
	if isDir && r.machinery(n, e) {
		return true
	}
	if len(r.patterns) == 0 {
		return false
	}
	path := n.path(e.name)
	for _, p := range r.patterns {
		if (isDir || !p.dirs) && doublestar.MatchUnvalidated(p.glob, path) {
			return true
		}
	}
	return false
}

// machinery are directories of Looming or of the file system itself.
func (r *rules) machinery(n *node, e *ent) bool {
	switch {
	case e.name == "lost+found":
		return n.mount
	case strings.HasPrefix(e.name, ".") && strings.HasSuffix(e.name, ".looming") && len(e.name) > len("..looming"):
		return true
	}
	return len(r.own) > 0 && r.own[[2]uint64{e.st.dev, e.st.Ino}]
}

// closed says whether a directory is not entered and counts as empty.
func (r *rules) closed(n *node) bool {
	if n.mount {
		return !r.others || n.d.kernels()
	}
	if !r.machine || n.parent.parent != nil {
		return false
	}
	return n.name == "proc" || n.name == "sys" || n.name == "run"
}
