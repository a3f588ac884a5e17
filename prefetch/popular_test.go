package prefetch

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever owners know: what they have in common is known to as many as are asked for, below a directory of the system,
// of no user, and of no time more exact than a week.
func TestPopularity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(someTally, 0, 5).Draw(t, "tallies")
		least := rapid.IntRange(PopularMin, PopularMin+1).Draw(t, "least")
		popular, sum := NewPopularity(), &Tally{}
		for _, tally := range all {
			popular.Count(tally)
		}
		for _, tally := range all {
			sum.Merge(popular.Common(tally, least))
		}
		sum, err := Decode(sum.Encode())
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
			if n < least || !isTold(path) {
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
		for _, tr := range sum.Traces() {
			if tr.Started.Unix()%int64(week/time.Second) != 0 {
				t.Fatalf("a start at %v is told", tr.Started)
			}
		}
	})
}

// Of the starts that are told, no owner has more than one.
func TestPopularStarts(t *testing.T) {
	many, one := &Tally{}, &Tally{}
	for i := range MaxTraces {
		many.AddTrace(Trace{Started: noon, Machine: uint64(i), Uses: []Use{{Want: wantOf("usr/bin/a")}, {Want: wantOf("etc/b")}}})
	}
	one.AddTrace(Trace{Started: noon.Add(-day), Uses: []Use{{Want: wantOf("usr/bin/a")}, {Want: wantOf("etc/b")}}})
	popular, sum := NewPopularity(), &Tally{}
	for _, t := range []*Tally{many, one} {
		popular.Count(t)
	}
	for _, t := range []*Tally{many, one} {
		sum.Merge(popular.Common(t, PopularMin))
	}
	if n := len(sum.Traces()); n != 2 {
		t.Errorf("two owners have %d starts", n)
	}
}

func TestTold(t *testing.T) {
	for path, want := range map[string]bool{
		"usr": true, "usr/bin/env": true, "etc/passwd": true, "Program Files (x86)/a": true, "Windows/System32/x.dll": true,
		"home/u/.bashrc": false, "root/x": false, "var/home/u": false, "export/home/u": false, "usrs/x": false, "Users/u": false, "data": false,
	} {
		if isTold(path) != want {
			t.Errorf("%q is told: %v", path, !want)
		}
	}
}
