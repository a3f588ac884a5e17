package console

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"
)

// The worked example of FEED.md is what a hub sends, byte for byte but for its line breaks, and leads a page to the
// state that FEED.md says.
func TestFeedExample(t *testing.T) {
	doc, err := os.ReadFile("FEED.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) != 4 {
		t.Fatalf("FEED.md has %d JSON blocks, want 3 messages and the page's request", len(blocks))
	}
	at := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	eta := int64(1100)
	anna := Stream{
		ID: "7", Device: "bf58-476d", CVD: "anna.weber", Snapshot: "8f21c07a", Target: "/srv/desktop", Phase: Filling,
		StartDone: 418_000_000, StartTotal: 418_000_000, BytesDone: 1_200_000_000, BytesTotal: 3_912_000_000, FilesDone: 61_000, FilesTotal: 203_118,
		DemandBytes: 121_000_000, PrefetchBytes: 1_079_000_000, DemandCount: 27, Current: "usr/bin/git", BytesPerSecond: 2_410_000, ETASeconds: &eta, Started: at, Updated: at,
	}
	models := []Model{{Streams: []Stream{anna, {ID: "8", CVD: "kiosk", Phase: Native, Started: at}}, Totals: Totals{Streams: 2}}}
	anna.BytesDone, anna.PrefetchBytes, anna.Updated = 1_200_500_000, 1_079_500_000, at.Add(250*time.Millisecond)
	models = append(models, Model{Streams: []Stream{anna}, Totals: Totals{Streams: 1}})

	h := newHub(nil, quiet)
	var page mirror
	for i, m := range models {
		if err := h.publish(m, Health{OK: true}, at.Add(time.Duration(i)*250*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		msgs, _, _, err := h.after(page.seq)
		if err != nil || len(msgs) != 1 {
			t.Fatalf("step %d: %d messages, %v", i, len(msgs), err)
		}
		compareJSON(t, blocks[i][1], msgs[0])
		if !page.take(t, blocks[i][1]) {
			t.Errorf("step %d does not follow", i)
		}
	}
	if !reflect.DeepEqual(byKey(page.model), byKey(models[1])) {
		t.Errorf("the example leads to %+v", page.model)
	}
	compareJSON(t, blocks[2][1], mustJSON(t, Message{Type: "beat", Seq: 2, At: at.Add(20 * time.Second)}))
	compareJSON(t, blocks[3][1], mustJSON(t, Request{Type: "resync"}))
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compareJSON(t *testing.T, doc, sent []byte) {
	t.Helper()
	var a, b bytes.Buffer
	if err := json.Compact(&a, doc); err != nil {
		t.Fatalf("FEED.md: %v in %s", err, doc)
	}
	if err := json.Compact(&b, sent); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Errorf("FEED.md says\n%s\nthe hub sends\n%s", a.String(), b.String())
	}
}
