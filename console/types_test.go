package console

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// mirrored are the Go types that web/src/feed.ts repeats, by the name that they have there.
var mirrored = map[string]any{
	"Model": Model{}, "Endpoint": Endpoint{}, "Stream": Stream{}, "Miss": Miss{}, "Upload": Upload{}, "Desktop": Desktop{},
	"Snapshot": Snapshot{}, "Volume": Volume{}, "Totals": Totals{}, "Message": Message{}, "Health": Health{},
	"Upserts": Upserts{}, "Removals": Removals{}, "Request": Request{}, "Page<T>": Page[int]{}, "Problem": Problem{},
	"Who": who{}, "Credentials": credentials{},
}

// The types of the page and of the server are the same, field by field, in both directions.
func TestTypesMatch(t *testing.T) {
	src, err := os.ReadFile("web/src/feed.ts")
	if err != nil {
		t.Fatal(err)
	}
	theirs := interfaces(string(src))
	for name, v := range mirrored {
		want, got := fields(reflect.TypeOf(v)), theirs[name]
		for f, kind := range want {
			if got[f] != kind {
				t.Errorf("feed.ts: %s.%s is %q, should be %q", name, f, got[f], kind)
			}
		}
		for f := range got {
			if want[f] == "" {
				t.Errorf("feed.ts: %s.%s is not in Go", name, f)
			}
		}
		delete(theirs, name)
	}
	for name := range theirs {
		t.Errorf("feed.ts: %s is not in Go", name)
	}
}

// The page knows every phase and state that Go names, and no other.
func TestNamesMatch(t *testing.T) {
	src, err := os.ReadFile("web/src/feed.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"State": {string(Pending), string(Approved), string(Revoked)},
		"Phase": {
			string(Listing), string(Start), string(Filling), string(Verifying), string(Waiting), string(Pivoting), string(Native),
			string(Scanning), string(Uploading), string(Committing), string(Committed), string(Offline), string(Stopped), string(Failed),
		},
	} {
		union := regexp.MustCompile(`(?s)type ` + name + ` =(.*?);`).FindString(string(src))
		got := regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(union, -1)
		var names []string
		for _, g := range got {
			names = append(names, g[1])
		}
		if !reflect.DeepEqual(names, want) {
			t.Errorf("feed.ts: %s is %v, Go has %v", name, names, want)
		}
	}
}

// interfaces reads the interfaces of a TypeScript source: field to type, with "?" in front where it may be left out.
func interfaces(src string) map[string]map[string]string {
	found := map[string]map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)export interface ([\w<>]+) \{(.*?)\n\}`).FindAllStringSubmatch(src, -1) {
		found[m[1]] = map[string]string{}
		for _, f := range regexp.MustCompile(`(?m)^  (\w+)(\??): (.+);$`).FindAllStringSubmatch(m[2], -1) {
			kind := f[3]
			if strings.HasPrefix(kind, `"`) || kind == "State" || kind == "Phase" {
				kind = "string"
			}
			found[m[1]][f[1]] = f[2] + kind
		}
	}
	return found
}

// fields is the same of a Go type, from its JSON tags.
func fields(t reflect.Type) map[string]string {
	found := map[string]string{}
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		may := ""
		if rest != "" {
			may = "?"
		}
		kind := kindOf(f.Type, may != "")
		if f.Type.Kind() == reflect.Slice && t.Name() == "Page[int]" {
			kind = "T[]"
		}
		found[name] = may + kind
	}
	return found
}

func kindOf(t reflect.Type, optional bool) string {
	if t == reflect.TypeFor[time.Time]() {
		return "string"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		return "number"
	case reflect.Slice:
		return kindOf(t.Elem(), false) + "[]"
	case reflect.Pointer:
		if optional {
			return kindOf(t.Elem(), false)
		}
		return kindOf(t.Elem(), false) + " | null"
	}
	return t.Name()
}
