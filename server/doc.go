// Package server is a Looming server: it lets devices in, keeps their desktops, and shows admins what goes on.
//
// A server is stateless. All state is in Postgres and on volumes, so any number of servers may share both, and a client
// may change server between any two requests. [Serve] is the whole product, with a private Postgres where no database
// is given; [Open] is a server on a database that is there.
//
// # Who may what
//
// TLS asks for a client certificate but does not judge it: every request of a device is judged by itself, so that a
// refusal says why, is logged and audited with the device's name, and one that is revoked is out at its next request
// on whatever connection. Admins show a bearer token, browsers a session's cookie.
//
// # The CA's key
//
// All servers must sign with one key, so it is in the database, in the clear. Whoever can read that database has the
// metadata of every desktop already; what the key adds is to pose as a server. It is not enough to pose as a device,
// because a certificate counts only while its serial number is in the database too.
package server
