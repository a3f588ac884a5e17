package prefetch

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// Whatever others say, half of a full tally stays its own, and what its starts need stays in the start set.
func TestAdmit(t *testing.T) {
	own, guest := &Tally{}, &Tally{}
	for i := range MaxTraces {
		own.AddTrace(Trace{Started: noon.Add(-time.Duration(i) * time.Hour), Machine: 1, Uses: []Use{{Want: wantOf("init")}, {Want: wantOf("sh")}}})
		guest.AddTrace(Trace{Started: noon.Add(time.Duration(i) * time.Minute), Machine: 9, Uses: []Use{{Want: wantOf("junk")}}})
	}
	longer := []Use{{Want: wantOf("junk")}, {Want: wantOf("x")}, {Want: wantOf("y")}}
	guest.AddTrace(Trace{Started: noon.Add(time.Minute * MaxTraces), Machine: 9, Uses: longer})
	for i := range MaxPaths {
		own.Opened(fmt.Sprintf("own/%d", i), Later, 0, noon.Add(-20*7*day))
		guest.Read(fmt.Sprintf("junk/%d", i), Login, 0, noon, 1)
	}
	own.Admit(guest)
	if want := wantsOf("init", "sh"); !reflect.DeepEqual(own.StartSet(), want) {
		t.Errorf("the start set is %v, want %v", own.StartSet(), want)
	}
	kept := 0
	for path := range own.paths {
		if path[:4] == "own/" {
			kept++
		}
	}
	if own.Len() > MaxPaths || kept < MaxPaths/2 {
		t.Errorf("%d of %d paths are the tally's own", kept, own.Len())
	}
	if _, err := Decode(own.Encode()); err != nil {
		t.Error(err)
	}
}

// What others say of a start that the tally has does not take its place; where there is room, all of theirs is taken.
func TestAdmitStarts(t *testing.T) {
	mine := Trace{Started: noon, Machine: 1, Uses: []Use{{Want: wantOf("init")}}}
	forged := Trace{Started: noon, Machine: 1, Uses: []Use{{Want: wantOf("init")}, {Want: wantOf("junk")}}}
	theirs := Trace{Started: noon, Machine: 2, Uses: []Use{{Want: wantOf("sh")}}}
	own, guest := &Tally{}, &Tally{}
	own.AddTrace(mine)
	guest.AddTrace(forged)
	guest.AddTrace(theirs)
	guest.Opened("sh", Start, 0, noon)
	own.Admit(guest)
	if got, want := own.Traces(), []Trace{theirs.fit(), mine.fit()}; !slices.EqualFunc(got, want, func(a, b Trace) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("the starts are %v, want %v", got, want)
	}
	if own.Len() != 1 {
		t.Errorf("%d paths", own.Len())
	}
}
