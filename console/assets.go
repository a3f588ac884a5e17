package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:generate go run ./internal/bundle/generate

//go:embed web/dist
var dist embed.FS

// asset is one embedded file as it is served.
type asset struct {
	kind string
	etag string
	body []byte
	gzip []byte // nil where it does not get smaller
}

// files reads the embedded files once.
var files = sync.OnceValue(func() map[string]asset {
	found := map[string]asset{}
	root, err := fs.Sub(dist, "web/dist")
	if err == nil {
		err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := fs.ReadFile(root, name)
			found[name] = newAsset(name, body)
			return err
		})
	}
	if err != nil {
		panic(fmt.Sprintf("console: the embedded page cannot be read: %v", err))
	}
	return found
})

// kinds are fixed here: mime's answer depends on the machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8",
}

func newAsset(name string, body []byte) asset {
	kind := kinds[path.Ext(name)]
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	sum := sha256.Sum256(body)
	a := asset{kind: kind, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
	var z bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
	zw.Write(body)
	if zw.Close() == nil && z.Len() < len(body)*9/10 {
		a.gzip = z.Bytes()
	}
	return a
}

// assets serves the embedded page. Names do not change between versions, so browsers ask each time and get 304.
func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "The console's page is only read.", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		a, ok := files()[name]
		if !ok {
			http.Error(w, "There is nothing here. The console's page is at its root.", http.StatusNotFound)
			return
		}
		a.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	body, etag := a.body, a.etag
	if a.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body, etag = a.gzip, strings.TrimSuffix(a.etag, `"`)+`-gz"`
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
