package main

import "github.com/dustin/go-humanize"

// size is a flag in bytes, as people write it: 500MB, 2GiB.
type size uint64

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	*s = size(n)
	return err
}

// String implements pflag.Value.
func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*s))
}

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }
