package selfmon

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/port"
	"github.com/projecteru2/eru-agent/selfmon/page"
	"github.com/projecteru2/eru-agent/status"
	"github.com/projecteru2/eru-agent/trail"
)

// report is what /status shows.
type report struct {
	Node       status.Node `json:"node"`
	Ready      bool        `json:"ready"`
	NotReady   string      `json:"not_ready,omitempty"`
	Process    Process     `json:"process"`
	Reloaded   *Reload     `json:"reloaded,omitempty"` // the last one, if any
	Containers []container `json:"containers"`
}

type container struct {
	App        string        `json:"app"`
	Entrypoint string        `json:"entrypoint"`
	Status     status.Status `json:"status"`
}

// containers are those of the node, and why it is not ready, if it is not.
func (s *Selfmon) containers(ctx context.Context) ([]status.Entry, string, error) {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	entries, err := s.agent.Containers(ctx)
	if err != nil {
		return nil, "", err
	}
	if err := s.Ready(ctx); err != nil {
		return entries, err.Error(), nil
	}
	return entries, "", nil
}

func (s *Selfmon) serveStatus(w http.ResponseWriter, r *http.Request) {
	entries, missing, err := s.containers(r.Context())
	if err != nil {
		port.Answer(w, err, "answering")
		return
	}
	rep := report{Node: s.record(), Ready: missing == "", NotReady: missing, Process: s.process(), Reloaded: s.reloads.last.Load(), Containers: []container{}}
	for _, e := range entries {
		rep.Containers = append(rep.Containers, container{App: e.Key.App, Entrypoint: e.Key.Entrypoint, Status: e.Status})
	}
	slices.SortFunc(rep.Containers, func(a, b container) int {
		return strings.Compare(a.App+"/"+a.Entrypoint+"/"+a.Status.Name, b.App+"/"+b.Entrypoint+"/"+b.Status.Name)
	})
	writeJSON(w, rep)
}

// look is the node as the page shows it.
func (s *Selfmon) look(ctx context.Context) (page.Node, error) {
	entries, missing, err := s.containers(ctx)
	if err != nil {
		return page.Node{}, err
	}
	probed := map[string][]trail.Probe{}
	for _, c := range s.memory.Containers() {
		probed[c.ID] = c.Probes
	}
	record := s.record()
	n := page.Node{
		At: time.Now(), Name: record.Nodename, Version: record.Agent.Version, Started: record.Agent.Started,
		Stopping: record.Agent.State == status.NodeStopping, NotReady: missing,
		Vitals: s.vitals(gather(s.registry), entries), Moves: s.memory.Moves(),
	}
	for _, e := range entries {
		n.Containers = append(n.Containers, page.Container{Entry: e, Probes: probed[e.Key.ID]})
	}
	return n, nil
}
