package ledger

import "encoding/binary"

// scan finds the end of the records, what is free, and the latest change. Of two
// records of a node, which a move that was under way leaves, the earlier one goes.
func (l *Ledger) scan() {
	l.serial, l.end = 0, 1
	latest := map[uint64]Place{}
	for b := l.record(l.end, 1); b != nil && b[inUnits] != 0; b = l.record(l.end, 1) {
		p := l.end
		l.end += Place(b[inUnits])
		switch kind(b[inKind]) {
		case free:
			l.free[int(b[inUnits])] = append(l.free[int(b[inUnits])], p)
		case isNode:
			l.serial = max(l.serial, serial(b))
			if q, twice := latest[number(b)]; twice && serial(l.record(q, 1)) > serial(b) {
				l.drop(p)
				continue
			} else if twice {
				l.drop(q)
			}
			latest[number(b)] = p
		}
	}
	var last uint64
	l.Changes(func(s Slot, c Change) { // requests are numbered as they come
		if c.Unique >= last {
			last, l.next = c.Unique, int(s)
		}
	})
}

func serial(b []byte) uint64 { return binary.LittleEndian.Uint64(b[inSerial:]) }
func number(b []byte) uint64 { return binary.LittleEndian.Uint64(b[inNumber:]) }

// Nodes calls fn for every node. It is for whoever takes over, before anything is written.
func (l *Ledger) Nodes(fn func(Place, Node)) {
	l.each(func(p Place, b []byte) {
		if kind(b[inKind]) == isNode {
			fn(p, node(b))
		}
	})
}

// Handles calls fn for all that is open.
func (l *Ledger) Handles(fn func(Place, Handle)) {
	l.each(func(p Place, b []byte) {
		if k := kind(b[inKind]); k == isFile || k == isDir {
			fn(p, handle(b))
		}
	})
}

func (l *Ledger) each(fn func(Place, []byte)) {
	for p := Place(1); p < l.end; {
		units := l.units(p)
		fn(p, l.record(p, units))
		p += Place(units)
	}
}

func node(b []byte) Node {
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	length := min(int(binary.LittleEndian.Uint16(b[inLength:])), len(b)-inName)
	return Node{
		ID: at(inNumber), Ino: at(inA), Parent: at(inB), Lookups: at(inC),
		Type: b[inType], Nameless: b[inFlags] != 0, Name: string(b[inName : inName+length]),
	}
}

func handle(b []byte) Handle {
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
	return Handle{
		ID: at(inNumber), Node: at(inA), Flags: uint32(at(inB)), Backing: int32(at(inC)), Unique: at(inSerial),
		Passed: b[inType] != 0, Dir: kind(b[inKind]) == isDir,
	}
}
