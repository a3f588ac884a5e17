package prefetch

import "strings"

// rank says when a directory's turn is among its siblings, where nothing is known about use.
type rank uint8

const (
	person rank = iota // what somebody made or set up: likely to be opened by hand
	plain
	aside // what programs can make anew, or nobody reads by name: after everything else
	ranks
)

// names are directories known by their last name, wherever they are. Kept short on purpose: the tally knows better.
var names = map[string]rank{
	"home": person, "root": person, "Users": person, "etc": person,
	"Desktop": person, "Documents": person, "Downloads": person, "Pictures": person,
	".config": person, ".ssh": person, ".mozilla": person, ".thunderbird": person,

	".cache": aside, "cache": aside, "Cache": aside, "Caches": aside, "cache2": aside, "__pycache__": aside,
	"tmp": aside, "Temp": aside, "lost+found": aside, ".Trash": aside, "Trash": aside, "$Recycle.Bin": aside,
	"node_modules": aside, ".git": aside,
}

// places are directories known by their whole path.
var places = map[string]rank{
	"var/log": aside, "var/lib/apt/lists": aside, "var/backups": aside, "var/crash": aside,
	"usr/src": aside, "usr/include": aside,
	"usr/share/doc": aside, "usr/share/man": aside, "usr/share/info": aside, "usr/share/help": aside,
	"Windows/WinSxS": aside, "Windows/Installer": aside, "Windows/SoftwareDistribution": aside,
}

func rankOf(path string) rank {
	if r, ok := places[path]; ok {
		return r
	}
	if r, ok := names[base(path)]; ok {
		if r == person && strings.HasPrefix(path, "usr/") { // names of programs' parts, not of people
			return plain
		}
		return r
	}
	return plain
}
