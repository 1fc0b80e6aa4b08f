package selfmon

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/trail"
)

// TestServeExplain asks for containers that are there, are not, and are several.
func TestServeExplain(t *testing.T) {
	memory := trail.New()
	for _, id := range []string{"abc1", "abc2"} {
		memory.Line(id).Understood(trail.Identity{Name: "web\u202e" + id}, nil)
	}
	s := &Selfmon{memory: memory}
	for query, want := range map[string]struct {
		code int
		text string
	}{
		"?container=abc1":   {http.StatusOK, `"name": "web\u202eabc1"`},
		"?container=abc":    {http.StatusConflict, "it means 2"},
		"?container=nobody": {http.StatusNotFound, `"nobody" on this node: none`},
		"":                  {http.StatusBadRequest, "want a container"},
		"?container=%1b[31m" + strings.Repeat("x", 9999): {http.StatusNotFound, "looking for container"},
	} {
		w := httptest.NewRecorder()
		s.serveExplain(w, httptest.NewRequest(http.MethodGet, "/explain"+query, nil))
		body := w.Body.String()
		if w.Code != want.code || !strings.Contains(body, want.text) || strings.ContainsAny(body, "\x1b\u202e") || len(body) > 2000 {
			t.Errorf("%.40s: %d %s", query, w.Code, body)
		}
		if w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) || w.Code != http.StatusOK && strings.Count(body, "\n") != 1 {
			t.Errorf("%.40s: %s", query, body)
		}
	}
}
