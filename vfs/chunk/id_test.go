package chunk_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/looming-project/looming/vfs/chunk"
)

// The vectors are those that b3sum prints.
func TestSumIsBLAKE3(t *testing.T) {
	for plain, want := range map[string]string{
		"":    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		"abc": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
	} {
		if got := chunk.Sum([]byte(plain)).String(); got != want {
			t.Errorf("Sum(%q) = %s, want %s", plain, got, want)
		}
	}
}

func TestIDTextComesBack(t *testing.T) {
	id := chunk.Sum([]byte("x"))
	b, err := json.Marshal(map[string]chunk.ID{"id": id})
	if err != nil || string(b) != `{"id":"`+id.String()+`"}` {
		t.Fatalf("%s, %v", b, err)
	}
	var m map[string]chunk.ID
	if err := json.Unmarshal(b, &m); err != nil || m["id"] != id {
		t.Errorf("%v, %v", m, err)
	}
}

func TestParseIDRefusesWhatStringNeverWrites(t *testing.T) {
	good := chunk.Sum(nil).String()
	for _, s := range []string{"", "00", good[:63], good + "0", good[:63] + "g", " " + good[1:]} {
		if id, err := chunk.ParseID(s); err == nil || !id.IsZero() {
			t.Errorf("ParseID(%q) = %s, %v", s, id, err)
		}
	}
	if id, err := chunk.ParseID(strings.ToUpper(good)); err != nil || id.String() != good {
		t.Errorf("upper case: %s, %v", id, err)
	}
}
