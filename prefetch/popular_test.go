package prefetch

import (
	"testing"

	"pgregory.net/rapid"
)

// Whatever devices know: what they have in common is known to two of them, below nobody's home, and of no user.
func TestPopular(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := map[int]*Tally{}
		for i := range rapid.IntRange(0, 5).Draw(t, "devices") {
			all[i] = someTally.Draw(t, "tally")
		}
		sum, err := Decode(Popular(all).Encode())
		if err != nil {
			t.Fatal(err)
		}
		for path := range sum.known() {
			n := 0
			for _, tally := range all {
				if _, ok := tally.known()[path]; ok {
					n++
				}
			}
			if n < 2 || isPrivate(path) {
				t.Fatalf("%q is told, which %d devices know", path, n)
			}
		}
		for path, cells := range sum.paths {
			for _, c := range cells {
				if c.user != 0 {
					t.Fatalf("%q tells of user %d", path, c.user)
				}
			}
		}
	})
}

func TestPrivate(t *testing.T) {
	for path, want := range map[string]bool{
		"home": true, "home/u/.bashrc": true, "root/x": true, "var/mail/u": true, "homes": false, "usr/home/x": false, "etc/passwd": false,
	} {
		if isPrivate(path) != want {
			t.Errorf("%q private: %v", path, !want)
		}
	}
}
