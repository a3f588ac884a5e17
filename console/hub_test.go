package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// mirror is what a page holds: it takes messages as FEED.md says.
type mirror struct {
	seq    uint64
	model  Model
	health Health
}

// take applies a message; false if it does not follow.
func (p *mirror) take(t require, raw []byte) bool {
	var m Message
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("message %s: %v", raw, err)
	}
	switch {
	case m.Type == "snapshot":
		p.model = *m.Model
	case m.Type == "change" && m.Seq == p.seq+1:
		p.change(m)
	default:
		return m.Type == "beat"
	}
	p.seq = m.Seq
	if m.Health != nil {
		p.health = *m.Health
	}
	return true
}

type require interface{ Fatalf(string, ...any) }

func (p *mirror) change(m Message) {
	if m.Upsert == nil {
		m.Upsert = &Upserts{}
	}
	if m.Remove == nil {
		m.Remove = &Removals{}
	}
	p.model.Endpoints = merge(p.model.Endpoints, m.Upsert.Endpoints, m.Remove.Endpoints, func(e Endpoint) string { return e.ID })
	p.model.Streams = merge(p.model.Streams, m.Upsert.Streams, m.Remove.Streams, func(s Stream) string { return s.ID })
	p.model.Uploads = merge(p.model.Uploads, m.Upsert.Uploads, m.Remove.Uploads, func(u Upload) string { return u.ID })
	p.model.Desktops = merge(p.model.Desktops, m.Upsert.Desktops, m.Remove.Desktops, func(d Desktop) string { return d.Name })
	p.model.Volumes = merge(p.model.Volumes, m.Upsert.Volumes, m.Remove.Volumes, func(v Volume) string { return v.Name })
	if m.Upsert.Totals != nil {
		p.model.Totals = *m.Upsert.Totals
	}
}

func merge[T any](have, upsert []T, remove []string, key func(T) string) []T {
	out := []T{}
	next := map[string]T{}
	for _, v := range upsert {
		next[key(v)] = v
	}
	gone := map[string]bool{}
	for _, k := range remove {
		gone[k] = true
	}
	for _, v := range have {
		k := key(v)
		if n, ok := next[k]; ok {
			out = append(out, n)
			delete(next, k)
		} else if !gone[k] {
			out = append(out, v)
		}
	}
	for _, v := range upsert {
		if _, ok := next[key(v)]; ok {
			out = append(out, v)
			delete(next, key(v))
		}
	}
	return out
}

// byKey drops the order of lists, which a page makes itself.
func byKey(m Model) map[string]any {
	all := map[string]any{"totals": m.Totals}
	for _, s := range m.Streams {
		all["stream "+s.ID] = s
	}
	for _, e := range m.Endpoints {
		all["endpoint "+e.ID] = e
	}
	for _, d := range m.Desktops {
		all["desktop "+d.Name] = d
	}
	return all
}

func someModel(t *rapid.T) Model {
	m := Model{Totals: Totals{Streams: rapid.Int64Range(0, 3).Draw(t, "totals")}}
	for i := range rapid.IntRange(0, 6).Draw(t, "streams") {
		if rapid.Bool().Draw(t, "there") {
			m.Streams = append(m.Streams, Stream{ID: fmt.Sprint(i), BytesDone: rapid.Int64Range(0, 2).Draw(t, "done")})
		}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "endpoints") {
		m.Endpoints = append(m.Endpoints, Endpoint{ID: fmt.Sprint(i), Online: rapid.Bool().Draw(t, "online")})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "desktops") {
		m.Desktops = append(m.Desktops, Desktop{Name: fmt.Sprint("d", i), Snapshots: rapid.Int64Range(0, 1).Draw(t, "snapshots")})
	}
	return m
}

// Whatever is published and however seldom a reader comes, after it has caught up it holds exactly the last model.
func TestReaderHoldsTheLastModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHub(nil, quiet)
		var page mirror
		for range rapid.IntRange(1, 4*ringLen).Draw(t, "steps") {
			m := someModel(t)
			if err := h.publish(m, Health{OK: true}, time.Unix(0, 0)); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(t, "comes") > 0 {
				continue
			}
			catchUp(t, h, &page)
			if !reflect.DeepEqual(byKey(page.model), byKey(m)) {
				t.Fatalf("the page holds %+v, the model is %+v", page.model, m)
			}
		}
	})
}

func catchUp(t require, h *hub, page *mirror) {
	msgs, next, _, err := h.after(page.seq)
	if err != nil {
		t.Fatalf("after %d: %v", page.seq, err)
	}
	for _, raw := range msgs {
		if !page.take(t, raw) {
			t.Fatalf("at %d this does not follow: %s", page.seq, raw)
		}
	}
	if page.seq != next {
		t.Fatalf("the messages lead to %d, the hub says %d", page.seq, next)
	}
}

// A reader gets changes while the ring holds them and one snapshot when it does not.
func TestLaggingReaderGetsOneSnapshot(t *testing.T) {
	h := newHub(nil, quiet)
	for i := range 3 * ringLen {
		if err := h.publish(Model{Totals: Totals{Streams: int64(i)}}, Health{OK: true}, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	last := uint64(3 * ringLen)
	for _, c := range []struct {
		seq  uint64
		want int
		kind string
	}{
		{last, 0, ""},
		{last - 1, 1, "change"},
		{last - ringLen, ringLen, "change"},
		{last - ringLen - 1, 1, "snapshot"},
		{1, 1, "snapshot"},
		{0, 1, "snapshot"},
		{last + 5, 1, "snapshot"},
	} {
		msgs, next, _, err := h.after(c.seq)
		if err != nil || len(msgs) != c.want || next != last {
			t.Errorf("after %d: %d messages to %d (%v), want %d to %d", c.seq, len(msgs), next, err, c.want, last)
			continue
		}
		if c.want > 0 && !strings.Contains(string(msgs[0]), `"type":"`+c.kind+`"`) {
			t.Errorf("after %d came %.40s, want a %s", c.seq, msgs[0], c.kind)
		}
	}
}

// However often things change, the model is read and sent at most four times a second; when nobody looks, only on the
// slow tick; and without any wake, on the slow tick.
func TestCoalescing(t *testing.T) {
	for _, c := range []struct {
		name      string
		wakes     time.Duration // one each; 0: none
		readers   int
		low, high int64 // reads of the model in 10 s
	}{
		{"busy, a page is open", time.Millisecond, 1, 36, 41},
		{"busy, nobody looks", time.Millisecond, 0, 5, 6},
		{"quiet, a page is open", 0, 1, 5, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reads atomic.Int64
				p := &plain{
					fleet: func(context.Context) (Model, error) {
						return Model{Totals: Totals{Streams: reads.Add(1)}}, nil
					},
					watch: func(ctx context.Context, wake func()) error {
						for c.wakes > 0 && pause(ctx, c.wakes) {
							wake()
						}
						<-ctx.Done()
						return nil
					},
				}
				h := newHub(p, quiet)
				h.readers = c.readers
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := h.run(ctx); err != nil {
					t.Fatal(err)
				}
				if n := reads.Load(); n < c.low || n > c.high {
					t.Errorf("the model was read %d times in 10 s, want %d to %d", n, c.low, c.high)
				}
				if h.seq > uint64(reads.Load()) {
					t.Errorf("%d changes out of %d reads", h.seq, reads.Load())
				}
			})
		})
	}
}

// What does not differ is not sent.
func TestNothingChanged(t *testing.T) {
	h := newHub(nil, quiet)
	for range 3 {
		if err := h.publish(Model{Streams: []Stream{{ID: "a"}}}, Health{OK: true}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if h.seq != 1 {
		t.Errorf("the same model three times made %d messages", h.seq)
	}
}

// A model that cannot be read leaves the last one standing, says so, and is forgotten when it can be read again. A
// watch that breaks is begun again.
func TestFleetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		var watches atomic.Int64
		p := &plain{
			fleet: func(context.Context) (Model, error) {
				if fails.Load() {
					return Model{}, errors.New("database is away")
				}
				return Model{Streams: []Stream{{ID: "a"}}}, nil
			},
			watch: func(context.Context, func()) error {
				watches.Add(1)
				return errors.New("connection lost")
			},
		}
		h := newHub(p, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- h.run(ctx) }()
		var page mirror
		for _, bad := range []bool{false, true, false} {
			fails.Store(bad)
			time.Sleep(2 * refreshEvery)
			catchUp(t, h, &page)
			if len(page.model.Streams) != 1 {
				t.Errorf("with a broken database (%v) the page holds %+v", bad, page.model)
			}
			if page.health.OK == bad || bad != (page.health.Message != "") {
				t.Errorf("with a broken database (%v) the page is told %+v", bad, page.health)
			}
		}
		if watches.Load() < 2 {
			t.Errorf("a watch that broke was begun %d times", watches.Load())
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// Lists are cut at MaxLive (invariant 10), and a key that comes twice is sent once.
func TestListsAreBounded(t *testing.T) {
	m := Model{Volumes: []Volume{{Name: "a"}, {Name: "a", UsedBytes: 1}}}
	for i := range MaxLive + 50 {
		m.Endpoints = append(m.Endpoints, Endpoint{ID: fmt.Sprint(i)})
	}
	s, err := encode(m, Health{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.rows[listEndpoints]); n != MaxLive {
		t.Errorf("%d endpoints are sent, want %d", n, MaxLive)
	}
	if n := len(s.rows[listVolumes]); n != 1 {
		t.Errorf("a volume of the same name is sent %d times", n)
	}
}

// The hub keeps rates for streams whose Fleet keeps none, at most historyLen of them, and forgets streams that are gone.
func TestHistory(t *testing.T) {
	h := history{}
	for i := range historyLen + 5 {
		h.sample(Model{Streams: []Stream{{ID: "a", BytesPerSecond: int64(i)}}})
	}
	own := []int64{1}
	m := Model{Streams: []Stream{{ID: "a"}, {ID: "b", RateHistory: own}}}
	h.fill(m)
	if got := m.Streams[0].RateHistory; len(got) != historyLen || got[0] != 5 || got[historyLen-1] != historyLen+4 {
		t.Errorf("history is %v", got)
	}
	if !reflect.DeepEqual(m.Streams[1].RateHistory, own) {
		t.Errorf("a Fleet's own history became %v", m.Streams[1].RateHistory)
	}
	h.sample(Model{})
	if len(h) != 0 {
		t.Errorf("of streams that are gone is kept %v", h)
	}
}

// An empty model encodes its lists as [], for jq and scripts.
func TestEmptyModel(t *testing.T) {
	b, err := json.Marshal(Model{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "null") {
		t.Errorf("an empty model is %s", b)
	}
}
