package link

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is the speed of one direction of a line, in bits per second of
// payload. Zero means that the line itself takes no time.
type Rate int64

// The units in which lines are sold.
const (
	Bit  Rate = 1
	Kbit      = 1000 * Bit
	Mbit      = 1000 * Kbit
	Gbit      = 1000 * Mbit
)

var units = []struct {
	name string
	rate Rate
}{
	// "bit" is the end of all the others, so it stands last.
	{"gbit", Gbit},
	{"mbit", Mbit},
	{"kbit", Kbit},
	{"bit", Bit},
}

// ParseRate reads a rate as people write it: 20mbit, 1.5gbit, 56kbit, or
// unlimited.
func ParseRate(s string) (Rate, error) {
	word := strings.ToLower(strings.TrimSpace(s))
	if word == "unlimited" {
		return 0, nil
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(word, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		rate := Rate(n * float64(u.rate))
		if err != nil || rate <= 0 || n > 1e6 {
			break
		}
		return rate, nil
	}
	return 0, fmt.Errorf("rate %q: write a number and a unit, such as 20mbit, 56kbit or 1.5gbit, or unlimited", s)
}

// String gives the rate in a form that ParseRate reads.
func (r Rate) String() string {
	if r == 0 {
		return "unlimited"
	}
	for _, u := range units {
		if r >= u.rate {
			return strconv.FormatFloat(float64(r)/float64(u.rate), 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(r), 10) + "bit"
}

// Set makes a *Rate a flag.Value.
func (r *Rate) Set(s string) error {
	rate, err := ParseRate(s)
	if err == nil {
		*r = rate
	}
	return err
}

// takes is the time that n bytes occupy the line.
func (r Rate) takes(n int) time.Duration {
	if r == 0 {
		return 0
	}
	return time.Duration(float64(n) * 8 * float64(time.Second) / float64(r))
}

// bytesIn is how many bytes cross the line in d.
func (r Rate) bytesIn(d time.Duration) int {
	return int(float64(r) / 8 * d.Seconds())
}
