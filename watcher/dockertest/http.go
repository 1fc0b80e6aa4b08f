package dockertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/docker/docker/api/types/versions"
)

// ServeHTTP answers one API request. It is the handler of the server's own listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, path := splitVersion(r.URL.Path)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.requests.refuse()
		writeError(w, http.StatusForbidden, r.Method+" "+path+" is refused: this server is read-only")
		return
	}
	s.requests.add(path)
	if s.faults.hold(r.Context(), path) != nil {
		panic(http.ErrAbortHandler)
	}
	if status := s.faults.status(path); status != 0 {
		writeError(w, status, "injected failure")
		return
	}
	s.announce(w.Header())
	if message := s.unsupported(version); message != "" {
		writeError(w, http.StatusBadRequest, message)
		return
	}
	routed := *r
	url := *r.URL
	url.Path, url.RawPath = path, ""
	routed.URL = &url
	s.mux.ServeHTTP(w, &routed)
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", servePing)
	mux.HandleFunc("GET /version", s.serveVersion)
	mux.HandleFunc("GET /info", s.serveInfo)
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("GET /containers/json", s.serveList)
	mux.HandleFunc("GET /containers/{id}/json", s.serveInspect)
	mux.HandleFunc("GET /networks/{id}", s.serveNetwork)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "page not found")
	})
	return mux
}

// splitVersion takes "/v1.41/events" apart into "1.41" and "/events".
func splitVersion(path string) (string, string) {
	if head, rest, found := strings.Cut(strings.TrimPrefix(path, "/"), "/"); found {
		if version, ok := strings.CutPrefix(head, "v"); ok && isVersion(version) {
			return version, "/" + rest
		}
	}
	return "", path
}

func isVersion(s string) bool {
	ok, err := regexp.MatchString(`^[0-9]+(\.[0-9]+)+$`, s)
	return ok && err == nil
}

// unsupported is the daemon's complaint about a version that it does not speak.
func (s *Server) unsupported(version string) string {
	switch {
	case version == "":
		return ""
	case versions.GreaterThan(version, s.cfg.APIVersion):
		return fmt.Sprintf("client version %s is too new. Maximum supported API version is %s", version, s.cfg.APIVersion)
	case versions.LessThan(version, s.cfg.MinAPIVersion):
		return fmt.Sprintf("client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version",
			version, s.cfg.MinAPIVersion)
	}
	return ""
}

func (s *Server) announce(h http.Header) {
	h.Set("Api-Version", s.cfg.APIVersion)
	h.Set("Docker-Experimental", "false")
	h.Set("Ostype", "linux")
	h.Set("Server", "Docker/"+serverVersion+" (linux)")
}

func servePing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // An error means that the client has gone.
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
