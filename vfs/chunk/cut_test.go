package chunk_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/looming-project/looming/vfs/chunk"
)

// The rule is frozen: a line of this table changes only with the format's version.
func TestCutForIsFrozen(t *testing.T) {
	tar := append(make([]byte, 257), "ustar\x0000"...)
	for _, c := range []struct {
		name string
		head string
		want chunk.Cut
	}{
		{"libxul.so", "\x7fELF", chunk.Coarse},
		{"", "", chunk.Coarse},
		{"mbox", "", chunk.Coarse}, // a name, not a suffix
		{"notes.txt", "Dear From ", chunk.Coarse},
		{"Inbox", "From someone@example.org", chunk.Finest},
		{"Inbox", "From", chunk.Coarse},
		{"old.MBOX", "", chunk.Finest},
		{"places.sqlite", "", chunk.Finest},
		{"History", "SQLite format 3\x00", chunk.Finest},
		{"backup", string(tar), chunk.Finest},
		{"backup", string(tar[:260]), chunk.Coarse},
		{"backup.tar", "", chunk.Finest},
		{"backup.tar.gz", "\x1f\x8b", chunk.Coarse},
		{"letter.odt", "PK\x03\x04", chunk.Fine},
		{"omni.ja", "", chunk.Fine},
		{"omni", "\x04\x01\x02\x03PK\x01\x02", chunk.Fine},
		{"disk.img", "", chunk.Fine},
		{"disk.IMG", "", chunk.Fine},
		{"disk", "QFI\xfb", chunk.Fine},
		{"disk", "KDMV", chunk.Fine},
		{"disk", "<<< Oracle VM VirtualBox Disk Image >>>", chunk.Fine},
		{"disk", "vhdxfile", chunk.Fine},
		{"disk", "conectix", chunk.Fine},
		{"outlook", "!BDN", chunk.Fine},
		{"books.mdb", "\x00\x01\x00\x00Standard Jet DB", chunk.Fine},
		{"ibdata.ibd", "", chunk.Fine},
		{".db", "", chunk.Fine},
		{"mail.db", "SQLite format 3\x00", chunk.Finest}, // the bytes before the name
	} {
		if got := chunk.CutFor(c.name, []byte(c.head)); got != c.want {
			t.Errorf("CutFor(%q, %q) = %+v, want %+v", c.name, c.head, got, c.want)
		}
	}
}

// Whoever gives more than the head gets no other answer, so that a file that
// grows keeps its cut.
func TestCutForLooksAtTheHeadAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		head := rapid.SliceOfN(rapid.Byte(), chunk.HeadMax, chunk.HeadMax).Draw(t, "head")
		more := rapid.SliceOf(rapid.Byte()).Draw(t, "more")
		if chunk.CutFor(name, head) != chunk.CutFor(name, append(bytes.Clone(head), more...)) {
			t.Fatal("the bytes behind the head count")
		}
	})
}

func TestCutsAreWhatTheSplitterNeeds(t *testing.T) {
	for _, c := range []chunk.Cut{chunk.Coarse, chunk.Fine, chunk.Finest} {
		if c.Avg&(c.Avg-1) != 0 || c.Min < 64 || c.Min >= c.Avg || c.Avg >= c.Max || c.Max > chunk.MaxSize {
			t.Errorf("%+v", c)
		}
	}
}
