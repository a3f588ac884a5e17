// Package pgrun runs a private Postgres from the installed binaries.
//
// # What lies where
//
//	DIR/cluster      the cluster, made once by initdb; never removed, never overwritten
//	DIR/cluster.new  an initdb under way; one that was cut off is begun again
//	DIR/log          Postgres' own log, one file per weekday
//	DIR/start.log    what it said before that
//	DIR/looming.conf its configuration, rewritten at every start
//	DIR/run          the Unix socket, unless its path is too long for one
//
// Under root, DIR and its files are root's, so that whoever takes over Postgres' user can lead root nowhere; cluster,
// log and run are that user's. looming.conf includes what initdb wrote, cluster/postgresql.conf, and at its end
// cluster/local.conf, which belongs to the admin.
// There is no TCP port. Whoever may enter the socket's directory (root and the user that Postgres runs as) is
// let in as the superuser "looming".
//
// # Processes
//
// Postgres runs in a session of its own, so that neither the terminal's Ctrl-C nor a kill -9 of this process
// takes it along: a killed server leaves a healthy Postgres behind, and the next Run adopts it. Run stops it in
// fast mode when its context ends, adopted or not, and starts it anew when it dies. Under root it runs as the
// owner of the cluster, which is the system's user postgres, or nobody, when the cluster is made.
//
// Only one Run at a time may have a directory; the caller holds a lock to that end.
package pgrun
