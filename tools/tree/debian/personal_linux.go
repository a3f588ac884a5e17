package debian

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// personal fills a user's home: documents, a mailbox, a browser's cache, two
// copies of one photo, a repository's worth of small sources.
func personal(home string) error {
	if err := os.MkdirAll(filepath.Join(home, "odd"), 0o755); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(12, 2024))
	w := writer{home: home, at: time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)}
	for i := range 200 {
		w.file(fmt.Sprintf("Documents/project%02d/note%03d.txt", i%12, i), prose(r, 500+r.IntN(20_000)))
	}
	w.file("Mail/Inbox", prose(r, 12<<20))
	for range 300 {
		w.file(fmt.Sprintf(".cache/browser/%02x/%08x", r.IntN(64), r.Uint32()), noise(r, 200+r.IntN(60_000)))
	}
	photo := noise(r, 4<<20)
	w.file("Pictures/beach.jpg", photo)
	w.file("Pictures/backup/beach.jpg", photo)
	w.file("Downloads/disk.iso", append(noise(r, 20<<20), photo...))
	w.file(".profile", []byte("PATH=\"$HOME/bin:$PATH\"\n"))
	w.file("bin/hello", []byte("#!/usr/bin/python3\nimport json, sqlite3, email, http.client\nprint('hello from the desktop')\n"))
	if w.err != nil {
		return w.err
	}
	return os.Chmod(filepath.Join(home, "bin/hello"), 0o755)
}

// A writer writes files of user 1000 with times an hour apart, until one fails.
type writer struct {
	home string
	at   time.Time
	err  error
}

func (w *writer) file(name string, data []byte) {
	if w.err != nil {
		return
	}
	path := filepath.Join(w.home, name)
	w.at = w.at.Add(time.Hour + 1234567*time.Nanosecond)
	for _, step := range []func() error{
		func() error { return os.MkdirAll(filepath.Dir(path), 0o755) },
		func() error { return os.WriteFile(path, data, 0o644) },
		func() error { return os.Chown(path, 1000, 1000) },
		func() error { return os.Chtimes(path, w.at, w.at) },
	} {
		if w.err = step(); w.err != nil {
			return
		}
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// prose is text of made-up words that repeat as words do.
func prose(r *rand.Rand, n int) []byte {
	const syllables = "lo mi ra ge hor zon des ktop fi le ar ri ved be low sky sea sand far near"
	parts := strings.Fields(syllables)
	words := make([]string, 2000)
	for i := range words {
		for range 1 + r.IntN(4) {
			words[i] += parts[r.IntN(len(parts))]
		}
	}
	b := make([]byte, 0, n+32)
	for len(b) < n {
		// small numbers are much more frequent than large ones
		k := r.IntN(len(words)) * r.IntN(len(words)) / len(words)
		b = append(b, words[k]...)
		b = append(b, " \n"[min(r.IntN(12)/11, 1)])
	}
	return b[:n]
}
