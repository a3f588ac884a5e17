package ledger

import "encoding/binary"

// Places in a record.
const (
	inKind   = 0
	inUnits  = 1
	inType   = 2
	inFlags  = 3
	inLength = 4
	inSerial = 8
	inNumber = 16
	inA      = 24
	inB      = 32
	inC      = 40
	inName   = 48
)

type kind uint8

const (
	free kind = iota
	isNode
	isFile
	isDir
)

// Node is an entry of the desktop that somebody knows.
type Node struct {
	ID, Ino, Parent uint64
	Type            uint8
	Name            string
	// Lookups is how often the kernel knows it.
	Lookups uint64
	// Nameless says that its name was taken away, or was about to be.
	Nameless bool
}

// Handle is an open file or directory.
type Handle struct {
	ID, Node uint64
	Dir      bool
	// Flags are those of open(2).
	Flags uint32
	// Passed says that the kernel reads and writes it itself, through Backing.
	Passed  bool
	Backing int32
	// Unique is the request that opened it.
	Unique uint64
}

// AddNode writes down a new node.
func (l *Ledger) AddNode(n *Node) Place {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(atNode, max(l.get(atNode), n.ID))
	return l.addNode(n)
}

func (l *Ledger) addNode(n *Node) Place {
	p, b := l.take(inName + len(n.Name))
	if b == nil {
		return 0
	}
	l.serial++
	b[inType], b[inFlags] = n.Type, flag(n.Nameless)
	binary.LittleEndian.PutUint16(b[inLength:], uint16(len(n.Name)))
	set(b, l.serial, n.ID, n.Ino, n.Parent, n.Lookups)
	copy(b[inName:], n.Name)
	b[inKind] = byte(isNode)
	return p
}

// Move writes down that a node has another place, and returns where it is written now.
func (l *Ledger) Move(p Place, parent uint64, name string) Place {
	return l.change(p, func(n *Node) { n.Parent, n.Name = parent, name })
}

func (l *Ledger) change(p Place, change func(*Node)) Place {
	if l == nil || p == 0 {
		return p
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := node(l.record(p, l.units(p)))
	change(&n)
	to := l.addNode(&n)
	if to != 0 {
		l.drop(p)
	}
	return to
}

// SetNameless writes down that a node has lost its name, or has it again.
func (l *Ledger) SetNameless(p Place, yes bool) {
	if l == nil || p == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record(p, 1)[inFlags] = flag(yes)
}

// Known adds to how often the kernel knows a node; negative when it forgets.
func (l *Ledger) Known(p Place, times int64) {
	if l == nil || p == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.record(p, 1)
	binary.LittleEndian.PutUint64(b[inC:], uint64(max(0, int64(binary.LittleEndian.Uint64(b[inC:]))+times)))
}

// AddHandle writes down what was opened.
func (l *Ledger) AddHandle(h *Handle) Place {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(atHandle, max(l.get(atHandle), h.ID))
	p, b := l.take(inName)
	if b == nil {
		return 0
	}
	b[inType] = flag(h.Passed)
	set(b, h.Unique, h.ID, h.Node, uint64(h.Flags), uint64(uint32(h.Backing)))
	b[inKind] = byte(isFile)
	if h.Dir {
		b[inKind] = byte(isDir)
	}
	return p
}

// Remove forgets a record.
func (l *Ledger) Remove(p Place) {
	if l == nil || p == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(p)
}

// take finds room for a record of some bytes, not yet valid. Without room there is
// no ledger any more: nobody can go on with half of it.
func (l *Ledger) take(size int) (Place, []byte) {
	units := (size + unit - 1) / unit
	if list := l.free[units]; len(list) > 0 {
		l.free[units] = list[:len(list)-1]
		p := list[len(list)-1]
		return p, l.record(p, units)
	}
	b := l.record(l.end, units+1) // a unit of zeros ends the records
	if b == nil {
		l.put(atFull, 1)
		return 0, nil
	}
	p := l.end
	l.end += Place(units)
	b[inUnits] = byte(units)
	return p, b[:units*unit]
}

func (l *Ledger) drop(p Place) {
	l.record(p, 1)[inKind] = byte(free)
	n := l.units(p)
	l.free[n] = append(l.free[n], p)
}

func (l *Ledger) units(p Place) int { return int(l.record(p, 1)[inUnits]) }

func flag(yes bool) byte {
	if yes {
		return 1
	}
	return 0
}

func set(b []byte, serial, number, a, c, d uint64) {
	for i, v := range []uint64{serial, number, a, c, d} {
		binary.LittleEndian.PutUint64(b[inSerial+8*i:], v)
	}
}
