package dockertest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	dockernetwork "github.com/docker/docker/api/types/network"
)

// serveList answers GET /containers/json.
func (s *Server) serveList(w http.ResponseWriter, r *http.Request) {
	args, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err == nil {
		err = args.Validate(map[string]bool{"id": true, "name": true, "label": true, "status": true})
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	all := r.URL.Query().Get("all")
	writeJSON(w, s.list(args, all == "1" || all == "true" || args.Contains("status")))
}

// list is newest first, like the daemon's.
func (s *Server) list(args filters.Args, all bool) []*dockercontainer.Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	summaries := []*dockercontainer.Summary{}
	for _, c := range s.candidatesLocked(args) {
		shown := c.listed(now)
		if (all || shown.alive() || shown.status == "restarting") && includes(args, c, shown) {
			summaries = append(summaries, s.summary(c, shown))
		}
	}
	slices.Reverse(summaries)
	return summaries
}

// candidatesLocked spares the search through all containers if one is asked for by its full ID.
func (s *Server) candidatesLocked(args filters.Args) []*container {
	if ids := args.Get("id"); len(ids) == 1 && s.containers[ids[0]] != nil {
		return []*container{s.containers[ids[0]]}
	}
	return s.sortedLocked()
}

func includes(args filters.Args, c *container, shown state) bool {
	return (args.ExactMatch("id", c.id) || args.Match("id", c.id)) &&
		(args.Match("name", c.name) || args.Match("name", "/"+c.name)) &&
		args.ExactMatch("status", shown.status) &&
		(!args.Contains("label") || args.MatchKVList("label", c.spec.Labels))
}

func (s *Server) summary(c *container, shown state) *dockercontainer.Summary {
	out := &dockercontainer.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Image: c.spec.Image, ImageID: "sha256:" + makeID("image", c.spec.Image),
		Command: "/app", Created: c.created.Unix(), Ports: []dockercontainer.Port{}, Labels: c.labels(),
		State: shown.status, Status: shown.describe(), Mounts: []dockercontainer.MountPoint{},
		NetworkSettings: &dockercontainer.NetworkSettingsSummary{},
	}
	out.HostConfig.NetworkMode = c.mode
	if !s.cfg.NullNetworks {
		out.NetworkSettings.Networks = endpointSettings(shown.endpoints)
	}
	if shown.alive() {
		out.Ports = c.spec.ports()
	}
	return out
}

// describe is the daemon's "Up 3 minutes" and the like.
func (st state) describe() string {
	switch st.status {
	case "created":
		return "Created"
	case "running":
		return "Up " + ago(st.startedAt)
	case "paused":
		return "Up " + ago(st.startedAt) + " (Paused)"
	}
	title := strings.ToUpper(st.status[:1]) + st.status[1:]
	return title + " (" + strconv.Itoa(st.exitCode) + ") " + ago(st.finishedAt) + " ago"
}

func ago(t time.Time) string {
	if d := time.Since(t); d >= time.Second {
		return d.Truncate(time.Second).String()
	}
	return "Less than a second"
}

func endpointSettings(endpoints map[string]endpoint) map[string]*dockernetwork.EndpointSettings {
	settings := make(map[string]*dockernetwork.EndpointSettings, len(endpoints))
	for name, e := range endpoints {
		settings[name] = e.settings()
	}
	return settings
}
