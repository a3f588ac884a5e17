// Package link is a line of the wide area network in user space: TCP
// connections to its address are carried to another address at the line's rate
// and with its delay, and can be cut.
//
// Each direction is one line that all connections share. A connection's bytes
// wait before the line in segments of a millisecond of the line (1448 bytes to
// 16 KiB), and connections take turns segment by segment, as on a line with
// fair queueing: a small request waits for one segment of each other
// connection, however much those have queued. What waits is bounded, by
// default to twice what the line holds (two round trips at its rate, and at
// least 32 KiB), and shared equally by those who wait. With Options.Single
// there is one queue for all, first come, first served, as before most modems:
// there a request waits behind all that others have queued.
//
// Options.Delay is the round-trip time: a byte takes half of it in each
// direction. Opening a connection costs what it costs on a real line: the
// first byte of the client reaches the server one and a half round trips after
// the client began to connect.
//
// What a real line has and this one does not: slow start, and headers (the rate
// counts payload). A segment that is lost (Options.Loss) comes a round trip
// later, and holds up what its connection sent after it; no sender slows down. The ends are kernel sockets on this
// machine: their own buffers accept some bytes before the line sees them, and a
// client's connect returns before the server knows of it. A client whose
// server refuses sees a reset, not a refusal.
//
// Nothing runs before Run is called, and nothing after it has returned.
package link
