// Package lab runs the built commands as processes: a server with its private
// Postgres, endpoints with state directories of their own, and slow lines
// between them. It is for the end-to-end tests, the demo and the benchmark.
package lab
