package console

import (
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// The page and everything that it names is there, of its own kind, under a policy that allows no inline code and no
// other host.
func TestAssets(t *testing.T) {
	r := start(t, &plain{})
	res, index := r.do(t, "GET", "/", "")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("the page: %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	csp := res.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("the policy lacks %s: %s", part, csp)
		}
	}
	if inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son\w+=|https?://`).FindString(index); inline != "" {
		t.Errorf("the page has %q in it", inline)
	}
	named := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(index, -1)
	if len(named) < 4 {
		t.Fatalf("the page names only %v", named)
	}
	kinds := map[string]string{"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "woff2": "font/woff2", "txt": "text/plain", "html": "text/html"}
	names := []string{}
	for _, n := range named {
		names = append(names, n[1])
	}
	err := fs.WalkDir(dist, "web/dist", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, "web/dist/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		res, body := r.do(t, "GET", "/"+name, "")
		want := kinds[name[strings.LastIndex(name, ".")+1:]]
		if res.StatusCode != http.StatusOK || body == "" || !strings.HasPrefix(res.Header.Get("Content-Type"), want) || want == "" {
			t.Errorf("%s: %d, %d bytes, %s", name, res.StatusCode, len(body), res.Header.Get("Content-Type"))
		}
	}
}

// What a browser has is not sent again, compressed or not; what is not there is a 404, not the page.
func TestAssetsAreCached(t *testing.T) {
	r := start(t, &plain{})
	for _, coding := range []string{"gzip", "identity"} {
		res, body := r.do(t, "GET", "/app.js", "", "Accept-Encoding", coding)
		if got := res.Header.Get("Content-Encoding"); (got == "gzip") != (coding == "gzip") {
			t.Errorf("asked for %s, got %q", coding, got)
		}
		res, again := r.do(t, "GET", "/app.js", "", "Accept-Encoding", coding, "If-None-Match", res.Header.Get("ETag"))
		if res.StatusCode != http.StatusNotModified || again != "" || body == "" {
			t.Errorf("%s: asked again: %d, %d bytes", coding, res.StatusCode, len(again))
		}
	}
	for _, path := range []string{"/nothing", "/web/dist/app.js", "/app.js/", "/..%2fdoc.go"} {
		if res, _ := r.do(t, "GET", path, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	if res, _ := r.do(t, "POST", "/app.js", "{}"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST to a file: %d", res.StatusCode)
	}
}
