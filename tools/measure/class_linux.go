package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

var magics = []struct{ class, magic string }{
	{"mail", "From "},
	{"sqlite", "SQLite format 3\x00"},
	{"elf", "\x7fELF"},
	{"ar", "!<arch>\n"},
	{"image", "\x89PNG"},
	{"image", "\xff\xd8\xff"},
	{"image", "GIF8"},
	{"packed", "\x1f\x8b"},
	{"packed", "\xfd7zXZ"},
	{"packed", "BZh"},
	{"packed", "\x28\xb5\x2f\xfd"},
	{"zip", "PK\x03\x04"},
	{"mo", "\xde\x12\x04\x95"},
	{"pdf", "%PDF-"},
}

var suffixes = map[string]string{
	".img": "disk", ".raw": "disk", ".qcow2": "disk", ".pyc": "pyc",
	".ttf": "font", ".otf": "font", ".svg": "svg", ".ja": "zip",
	".json": "text", ".xml": "text", ".html": "text", ".py": "text", ".c": "text", ".h": "text",
}

// classOf names a file's type, finer than chunk.CutFor does.
func classOf(path string, head []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.class
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "tar"
	}
	if c := suffixes[strings.ToLower(filepath.Ext(path))]; c != "" {
		return c
	}
	if isText(head) {
		return "text"
	}
	return "other"
}

func isText(b []byte) bool {
	b = b[:min(len(b), 4096)]
	return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b[:max(0, len(b)-utf8.UTFMax)])
}
