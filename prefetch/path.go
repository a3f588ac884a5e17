package prefetch

import "strings"

// PathMax is the longest path that is tallied, in bytes. Longer ones are filled all the same, in the order of the tree.
const PathMax = 1024

// validPath says whether p may stand in a tally: like fs.ValidPath, but bytes need not be UTF-8 and the root is not a file.
func validPath(p string) bool {
	if p == "" || len(p) > PathMax || strings.IndexByte(p, 0) >= 0 {
		return false
	}
	for more := true; more; {
		var name string
		if name, p, more = strings.Cut(p, "/"); name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}

// join appends a name to a directory's path.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// base is the last name of a path.
func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
