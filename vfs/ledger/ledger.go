package ledger

import (
	"encoding/binary"
	"errors"
	"sync"
)

// Places in the header.
const (
	atMagic  = 0
	atNode   = 8
	atHandle = 16
	atFull   = 24
	atNoted  = 32
	atNote   = 64
	noteMax  = atChange - atNote
	atChange = 256
	atRecord = atChange + changes*changeSize
)

// unit is what records are counted in.
const unit = 64

// magic is LMLEDG with the version.
const magic = 0x0001_4744454c_4d4c

// ErrForeign says that memory holds no ledger of this version, or one that was full.
var ErrForeign = errors.New("no ledger that this version can take over")

// Place is where a record is, in units from the first; 0 is none.
type Place uint32

// Ledger is safe for concurrent use. A nil Ledger writes nothing down.
type Ledger struct {
	mu  sync.Mutex
	mem []byte
	// free are records of one size that can be used again, by their units.
	free map[int][]Place
	// end is behind the last record.
	end    Place
	serial uint64
	// next is the change that is overwritten next.
	next int
}

// New begins a ledger in memory that is all zeros.
func New(mem []byte) *Ledger {
	l := &Ledger{mem: mem, free: map[int][]Place{}, end: 1}
	l.put(atMagic, magic)
	return l
}

// Open takes over a ledger that another process left.
func Open(mem []byte) (*Ledger, error) {
	l := &Ledger{mem: mem, free: map[int][]Place{}, end: 1}
	if len(mem) < atRecord || l.get(atMagic) != magic || l.get(atFull) != 0 {
		return nil, ErrForeign
	}
	l.scan()
	return l, nil
}

func (l *Ledger) get(at int) uint64    { return binary.LittleEndian.Uint64(l.mem[at:]) }
func (l *Ledger) put(at int, v uint64) { binary.LittleEndian.PutUint64(l.mem[at:], v) }

// record is the memory of a record of some units, nil behind the end of it.
func (l *Ledger) record(p Place, units int) []byte {
	at := atRecord + int(p-1)*unit
	if at+units*unit > len(l.mem) {
		return nil
	}
	return l.mem[at : at+units*unit]
}

// SetNote keeps what the host agreed with the kernel, up to 192 bytes.
func (l *Ledger) SetNote(b []byte) {
	copy(l.mem[atNote:atNote+noteMax], b)
	l.put(atNoted, uint64(min(len(b), noteMax)))
}

// Note is what SetNote kept.
func (l *Ledger) Note() []byte {
	return l.mem[atNote : atNote+min(int(l.get(atNoted)), noteMax)]
}

// LastNode and LastHandle are the last numbers given out, also to what is gone.
func (l *Ledger) LastNode() uint64   { return l.get(atNode) }
func (l *Ledger) LastHandle() uint64 { return l.get(atHandle) }
