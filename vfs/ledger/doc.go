// Package ledger writes down what a kernel knows of a mount, in memory that
// outlives the process that serves it: which node has which number and place, what
// is open, and which changes of names were under way. A process that takes the
// mount over reads it and goes on; nothing in it is needed once the mount is gone.
//
// Memory is all that a killed process leaves whole, and it leaves every store that
// it made. So a record is written first and made valid by its last byte, a change
// of place is a new record before the old one goes, and a change of the disk has
// its intent written before. LEDGER.md has the layout.
package ledger
