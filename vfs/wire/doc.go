// Package wire is what crosses the network between endpoints, admins' tools and
// servers: paths, JSON documents, binary bodies, and errors. PROTOCOL.md is the
// specification. Everything is HTTP/1.1 over TLS 1.3; devices show their
// certificate, admins a bearer token.
package wire
