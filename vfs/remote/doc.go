// Package remote is the server as an endpoint sees it: a chunk.Source to read from, an upload session to write to, and
// the calls by which a device asks in and keeps its certificate.
//
// A Client has a separate set of connections for each Class, so that a demand never queues behind bulk transfers or
// uploads. Everything is HTTP/1.1 over TLS 1.3 as ../wire/PROTOCOL.md says; several connections are used at once,
// because one HTTP/2 connection moves half as much.
//
// # Errors
//
// What the server refuses unwraps to the sentinels of package wire. What got no answer wraps wire.ErrUnreachable: no
// connection, a connection that broke, or one that stayed silent for longer than Limits say. A call whose context ended
// returns the context's error.
//
// Calls that can be repeated without harm repeat themselves on wire.ErrUnreachable, wire.ErrUnavailable and wire.ErrFull,
// waiting longer each time and as long as the server asks (Retry-After), until Limits.Patience is over. A Source does not:
// whoever asked decides whether somebody still waits for the bytes.
package remote
