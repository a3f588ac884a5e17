package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/vfs/backing"
	"github.com/looming-project/looming/vfs/cvd"
	"golang.org/x/sys/unix"
)

// linksDir is the directory, aside where the tree is made, that holds hard-linked files by their group until all of
// the tree is there: a name, unlike a descriptor, can be had for as many of them as there are.
const linksDir = "links"

// links are the hard-linked files of a tree in the making.
type links struct {
	// in is where linksDir is made when the first file needs it, d what it is then.
	in, d  *backing.Dir
	groups map[uint64]*group
	// waiting counts the names that wait.
	waiting int
}

// group is a hard-linked file of which one name was met.
type group struct {
	// done: the file is whole and in linksDir, unless err says why it cannot be linked.
	done bool
	err  error
	// others are names that wait until the bytes are there: none may show a file that is not whole.
	others []otherName
}

// otherName is a hard-linked file's name that is not its first.
type otherName struct {
	dir *openDir
	e   *cvd.Entry
}

// another makes another name of a hard-linked file, now or when the file is whole.
func (x *writer) another(dir *openDir, e *cvd.Entry, g *group) error {
	if g.done {
		return x.link(dir, e, g)
	}
	g.others = append(g.others, otherName{dir, e})
	x.links.waiting++
	dir.refs++
	return x.flushFull()
}

// first is told what became of the name under which a group was met first, and makes those that wait for it.
func (x *writer) first(dir *openDir, e *cvd.Entry, lost error) error {
	g := x.links.groups[e.Group]
	g.done, g.err = true, lost
	if lost == nil {
		g.err = x.links.keep(dir.d, e)
	}
	var err error
	for _, o := range g.others {
		err = errors.Join(err, x.link(o.dir, o.e, g), x.done(o.dir))
	}
	x.links.waiting -= len(g.others)
	g.others = nil
	return err
}

// link makes a name of a file that is whole, or notes that it cannot be had.
func (x *writer) link(dir *openDir, e *cvd.Entry, g *group) error {
	err := g.err
	if err == nil {
		err = x.links.d.Link(keptName(e), dir.d, e.Name)
	}
	if errors.Is(err, unix.EMLINK) { // the last name that the file system allows
		if err = x.links.d.Rename(keptName(e), dir.d, e.Name, unix.RENAME_NOREPLACE); err == nil {
			g.err = unix.EMLINK
		}
	}
	return x.note(dir.path+"/"+e.Name, err)
}

func keptName(e *cvd.Entry) string { return fmt.Sprintf("%016x", e.Group) }

// keep gives a file a name in linksDir.
func (l *links) keep(dir *backing.Dir, e *cvd.Entry) (err error) {
	if l.d == nil {
		if err = l.in.Mkdir(linksDir, 0o700); err != nil {
			return err
		}
		if l.d, err = l.in.Open(linksDir); err != nil {
			return err
		}
	}
	return dir.Link(e.Name, l.d, keptName(e))
}

// end removes linksDir, which lies in the directory at path.
func (l *links) end(path string) error {
	if l.d == nil {
		return nil
	}
	return errors.Join(l.d.Close(), os.RemoveAll(filepath.Join(path, linksDir)))
}
