package debian

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mirror finds the Debian mirror that this machine uses: the first source of
// apt with a component main and a suite that is a Debian release, not one of
// its security or backport suites.
func mirror(apt string) (string, error) {
	lists, err := filepath.Glob(filepath.Join(apt, "sources.list.d/*"))
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range append([]string{filepath.Join(apt, "sources.list")}, lists...) {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		switch filepath.Ext(name) {
		case ".list":
			found = append(found, oneLine(string(text))...)
		case ".sources":
			found = append(found, stanzas(string(text))...)
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("no Debian mirror is named in %s/sources.list or %[1]s/sources.list.d", apt)
	}
	return found[0], nil
}

var releases = []string{
	"bullseye", "bookworm", "trixie", "forky", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// release says whether a source is a Debian release.
func release(suites, components []string) bool {
	return slices.Contains(components, "main") &&
		slices.ContainsFunc(suites, func(s string) bool { return slices.Contains(releases, s) })
}

// oneLine reads the old form: deb [options] URI suite component...
func oneLine(text string) (uris []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if start, end := strings.Index(line, "["), strings.Index(line, "]"); start >= 0 && start < end {
			line = line[:start] + line[end+1:]
		}
		words := strings.Fields(line)
		if len(words) > 3 && words[0] == "deb" && release(words[2:3], words[3:]) {
			uris = append(uris, words[1])
		}
	}
	return uris
}

// stanzas reads the new form, deb822.
func stanzas(text string) (uris []string) {
	for stanza := range strings.SplitSeq(text, "\n\n") {
		fields := map[string][]string{}
		key := ""
		for line := range strings.Lines(stanza) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			value := line
			if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
				key, value, _ = strings.Cut(line, ":")
				key = strings.ToLower(key)
			}
			fields[key] = append(fields[key], strings.Fields(value)...)
		}
		enabled := !slices.Contains(fields["enabled"], "no")
		if enabled && slices.Contains(fields["types"], "deb") && release(fields["suites"], fields["components"]) {
			uris = append(uris, fields["uris"]...)
		}
	}
	return uris
}
