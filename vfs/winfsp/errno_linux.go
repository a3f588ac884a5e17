//go:build cgo

package winfsp

// native are numbers that only this system has: none.
var native = errnos[:0:0]
