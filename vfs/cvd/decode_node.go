package cvd

// The least that an entry, and a part of an index, take.
const (
	entryMin = 8
	childMin = 37
)

func (r *reader) leaf(n *Node) {
	count := r.count(entryMin)
	n.Entries = make([]Entry, 0, min(count, len(r.b)/32))
	n.body = len(r.b)
	for ; count > 0 && r.err == nil; count-- {
		before := len(r.b)
		n.Entries = append(n.Entries, Entry{})
		e := &n.Entries[len(n.Entries)-1]
		r.entry(e)
		if size := before - len(r.b); size > EntryMax {
			r.fail("an entry of %d bytes", size)
		}
		if r.err == nil {
			if err := e.Check(); err != nil {
				r.fail("%v", err)
			}
		}
		if i := len(n.Entries) - 1; i > 0 && e.Name <= n.Entries[i-1].Name {
			r.fail("entry %q out of order", e.Name)
		}
		if count > 1 && r.err == nil && cutAfter(n.body-len(r.b), 0, e.Name) {
			r.fail("not cut after entry %q", e.Name)
		}
	}
}

func (r *reader) index(n *Node) {
	n.Level = int(r.byte())
	n.Children = make([]Child, r.count(childMin))
	if n.Level == 0 || n.Level > levelMax || len(n.Children) == 0 {
		r.fail("an index of %d parts at level %d", len(n.Children), n.Level)
		return
	}
	n.body = len(r.b)
	for i := range n.Children {
		c := &n.Children[i]
		*c = Child{r.string(), r.id(), r.sums()}
		if r.err != nil {
			return
		}
		if err := checkName(c.First); err != nil {
			r.fail("part %q: %v", c.First, err)
		}
		if i > 0 && c.First <= n.Children[i-1].First {
			r.fail("part %q out of order", c.First)
		}
		if i < len(n.Children)-1 && cutAfter(n.body-len(r.b), n.Level, c.First) {
			r.fail("not cut after part %q", c.First)
		}
	}
}

// full says whether the node ends where the rule cuts, as every part of a split
// directory does but the last of its level.
func (n *Node) full() bool {
	if n.Level == 0 {
		return len(n.Entries) > 0 && cutAfter(n.body, 0, n.Entries[len(n.Entries)-1].Name)
	}
	return cutAfter(n.body, n.Level, n.Children[len(n.Children)-1].First)
}

// first is the first name in the node, empty for an empty directory.
func (n *Node) first() string {
	switch {
	case n.Level > 0:
		return n.Children[0].First
	case len(n.Entries) > 0:
		return n.Entries[0].Name
	}
	return ""
}

// sums adds up what the node holds.
func (n *Node) sums() (s Sums) {
	for i := range n.Entries {
		s.Add(&n.Entries[i])
	}
	for i := range n.Children {
		s.Plus(n.Children[i].Sums)
	}
	return s
}
