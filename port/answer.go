package port

import (
	"fmt"
	"net/http"

	"github.com/projecteru2/eru-agent/foreign"
)

// Answer writes one line: 200 and well, or 503 and why not.
func Answer(w http.ResponseWriter, err error, well string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, "not %s: %s\n", well, err)
		return
	}
	_, _ = fmt.Fprintln(w, well)
}

// Refuse writes code and one line that says why; it may hold others' words.
func Refuse(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, foreign.Within(text, 1<<10)) // the client has gone
}
