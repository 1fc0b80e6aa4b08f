// Package page shows people what the agent of a node knows: a page, and what
// changes on it as server-sent events. It owns what is seen and how it comes to
// the browser; what there is to see is asked of its Source. Nothing on the page is
// from elsewhere, nothing runs but its own script, and without that it is whole.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// Source says how the node is now. It is asked twice a second at most, however
// many look at the page, and while nobody does not at all.
type Source func(ctx context.Context) (Node, error)

// Node is what the page shows. Texts may be anything.
type Node struct {
	At         time.Time
	Name       string
	Version    string
	Started    time.Time // the agent
	Stopping   bool
	NotReady   string // what is missing, "" for nothing
	Vitals     []Vital
	Containers []Container
	Moves      []trail.Step // of the last hour, the oldest first
}

// Vital is one thing of the agent's own health.
type Vital struct {
	Name, Value string
	Note        string // smaller, may be ""
	Level       Level
}

// Level is how good or bad a Vital is.
type Level string

// The levels; the zero Level is neither good nor bad.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Bad  Level = "bad"
)

// Shape is the mark beside the value, so that nobody has to tell colours apart.
func (l Level) Shape() string {
	switch l {
	case OK:
		return string(status.StateHealthy)
	case Warn:
		return string(status.StateInvalid)
	}
	return string(status.StateUnhealthy)
}

// Container is one container of the node.
type Container struct {
	status.Entry
	Probes []trail.Probe // the last ones, the oldest first
}

//go:embed page.html style.css script.js icon.svg
var files embed.FS

// policy lets the browser load the page's own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page is the page of one node. It starts nothing of its own.
type Page struct {
	source    Source
	template  *template.Template
	listeners chan struct{} // a place for each
	turn      chan struct{} // held by whoever asks the source
	last      glance        // of the turn's holder
}

// New returns the page of what source tells.
func New(source Source) *Page {
	return &Page{
		source: source, listeners: make(chan struct{}, MaxListeners), turn: make(chan struct{}, 1),
		template: template.Must(template.New("").Funcs(template.FuncMap{
			"rfc":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
			"clock": func(t time.Time) string { return t.Local().Format(time.TimeOnly) },
		}).ParseFS(files, "page.html")),
	}
}

// Register adds the page to mux: itself at /, its files below /page/, and what
// changes at /events, which ends when stopping does.
func (p *Page) Register(stopping context.Context, mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", p.serve)
	for _, name := range []string{"style.css", "script.js", "icon.svg"} {
		mux.Handle("GET /page/"+name, file(name))
	}
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { p.events(stopping, w, r) })
}

func (p *Page) serve(w http.ResponseWriter, r *http.Request) {
	v, err := p.look(r.Context())
	if err != nil {
		refuse(w, "not answering: "+err.Error())
		return
	}
	text, err := p.draw("page", v)
	if err != nil {
		refuse(w, "not answering: "+err.Error())
		return
	}
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(text)) // the client has gone
}

// draw renders one template.
func (p *Page) draw(name string, of any) (string, error) {
	var out bytes.Buffer
	if err := p.template.ExecuteTemplate(&out, name, of); err != nil {
		return "", fmt.Errorf("drawing %q: %w", name, err)
	}
	return out.String(), nil
}

// glance is what the source said.
type glance struct {
	at   time.Time
	view *view
	err  error
}

// fresh is for how long a glance serves all who ask.
const fresh = 500 * time.Millisecond

// look returns the node as it is, or was a moment ago.
func (p *Page) look(ctx context.Context) (*view, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.last.at.IsZero() || time.Since(p.last.at) >= fresh {
		node, err := p.source(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err() // which says nothing of the node
		}
		p.last = glance{at: time.Now(), err: err}
		if err == nil {
			p.last.view = p.newView(node)
		}
	}
	return p.last.view, p.last.err
}

// refuse answers 503 with one line that says why.
func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = fmt.Fprintln(w, why)
}

// file serves one of the page's own files.
func file(name string) http.Handler {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(content))[:16])
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache") // asked for again each time: another agent may have another
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(string(content)))
	})
}
