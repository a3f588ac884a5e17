package ledger

import "encoding/binary"

// changes is how many changes are remembered. A change is short, and its answer
// follows at once: the kernel can only miss the answers of the latest.
const (
	changes    = 256
	changeSize = 64 + 2*nameRoom
	nameRoom   = 256
)

// Kind is what a change does.
type Kind uint8

// The kinds of changes.
const (
	// Removing takes the entry Name from From.
	Removing Kind = 1 + iota
	// Making puts a new entry, or another name of one, into From.
	Making
	// Moving moves it to To, as ToName.
	Moving
	// Exchanging exchanges the two.
	Exchanging
)

// Change is a change of names that the kernel asked for.
type Change struct {
	Kind Kind
	// Unique is the kernel's number of the request.
	Unique       uint64
	From, To     uint64
	Name, ToName string
	// Ino and ToIno are the inodes under the names before the change.
	Ino, ToIno uint64
	// Done says that it is on the disk.
	Done bool
}

// Slot is where a change is written, 0 is nowhere.
type Slot int

// Begin writes down what is about to be done.
func (l *Ledger) Begin(c *Change) Slot {
	if l == nil || len(c.Name) > nameRoom || len(c.ToName) > nameRoom {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = l.next%changes + 1
	s := Slot(l.next)
	b := l.slot(s)
	b[0] = 0
	b[1] = byte(c.Kind)
	binary.LittleEndian.PutUint16(b[2:], uint16(len(c.Name)))
	binary.LittleEndian.PutUint16(b[4:], uint16(len(c.ToName)))
	for i, v := range []uint64{c.Unique, c.From, c.To, c.Ino, c.ToIno} {
		binary.LittleEndian.PutUint64(b[8+8*i:], v)
	}
	copy(b[64:], c.Name)
	copy(b[64+nameRoom:], c.ToName)
	b[0] = 1
	return s
}

// End writes down what became of a change.
func (l *Ledger) End(s Slot, done bool) {
	if l == nil || s == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slot(s)[0] = 2 * flag(done)
}

func (l *Ledger) slot(s Slot) []byte {
	at := atChange + int(s-1)*changeSize
	return l.mem[at : at+changeSize]
}

// Changes calls fn for every change that was begun.
func (l *Ledger) Changes(fn func(Slot, Change)) {
	for s := Slot(1); s <= changes; s++ {
		if b := l.slot(s); b[0] != 0 {
			fn(s, change(b))
		}
	}
}

// Find returns the change that a request asked for.
func (l *Ledger) Find(unique uint64) (Change, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := Slot(1); s <= changes; s++ {
		if b := l.slot(s); b[0] != 0 && binary.LittleEndian.Uint64(b[8:]) == unique {
			return change(b), true
		}
	}
	return Change{}, false
}

func change(b []byte) Change {
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	name := func(i int) string {
		from := 64 + i*nameRoom
		return string(b[from : from+min(nameRoom, int(binary.LittleEndian.Uint16(b[2+2*i:])))])
	}
	return Change{
		Kind: Kind(b[1]), Unique: at(0), From: at(1), To: at(2), Ino: at(3), ToIno: at(4),
		Name: name(0), ToName: name(1), Done: b[0] == 2,
	}
}
