package selfmon

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/projecteru2/eru-agent/foreign"
	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/trail"
)

// Memory remembers what became of the node's containers: *trail.Trail.
type Memory interface {
	Find(word string) (trail.Container, error)
	Containers() []trail.Container
	Moves() []trail.Step
}

// serveExplain tells all that is remembered of one container, which is named by
// its name, its ID or the beginning of that. 404 says that there is none and what
// is called alike, 409 that there are several, in one line each.
func (s *Selfmon) serveExplain(w http.ResponseWriter, r *http.Request) {
	word := r.URL.Query().Get("container")
	if word == "" {
		port.Refuse(w, http.StatusBadRequest, "want a container: /explain?container=NAME-or-ID")
		return
	}
	c, err := s.memory.Find(word)
	var several *trail.AmbiguousError
	switch {
	case errors.As(err, &several):
		port.Refuse(w, http.StatusConflict, err.Error())
	case err != nil:
		port.Refuse(w, http.StatusNotFound, err.Error())
	default:
		writeJSON(w, c)
	}
}

// writeJSON answers with v, for programs and for a terminal.
func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		port.Answer(w, err, "answering")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(foreign.JSON(b), '\n')) // the client has gone
}
