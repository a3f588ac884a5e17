// Package console is the admins' web page of Looming: a live view of endpoints, streams and desktops behind a login.
//
// It knows no server and no database. What it shows and does comes through four small interfaces that whoever embeds it
// implements: [Fleet] (the live model), [Pages] (tables, paged where the data is), [Admin] (approve, revoke) and [Auth]
// (who may look). [Console.Handler] serves the page, its JSON and its websocket; [Console.Run] is the hub that keeps the
// live model and must run for as long as the handler is served. FEED.md describes what crosses the websocket.
//
// The page itself is under web: TypeScript whose bundle is committed in web/dist and embedded, so building needs no
// node. After a change there: go generate ./console.
//
// Locks: hub.mu guards the published state and is held for no I/O; limiter.mu stands alone. Neither is taken under the
// other.
package console
