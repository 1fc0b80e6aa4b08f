package cmd

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

// roster is nodes of every kind.
func roster() status.Roster {
	record := func(state string) *status.Node {
		return &status.Node{Alive: true, Agent: status.NodeAgent{Version: "v2", Machine: "m1", Started: now.Add(-50 * time.Hour), State: state}}
	}
	owner := status.Owner{Instance: "i", Version: "v1", Machine: "m1", Address: "10.0.0.5", Session: true}
	return status.Roster{
		Monitor: &status.Monitor{Node: "n1", Instance: "i1", Since: now.Add(-time.Hour)},
		Nodes: []status.NodeState{
			{Name: "n1", Record: record(status.NodeRunning), Owner: owner, Containers: map[status.State]int{status.StateHealthy: 3, status.StateUnhealthy: 1}},
			{Name: "n2", Record: record(status.NodeStopping), Owner: owner},
			{Name: "n3", Owner: owner, Silence: &status.Silence{Since: now.Add(-3 * time.Minute), Judged: now.Add(-2 * time.Minute), Host: status.HostAnswers},
				Containers: map[status.State]int{status.StateHealthy: 2}},
			{Name: "n4", Owner: owner, Silence: &status.Silence{Since: now.Add(-72 * time.Hour), Judged: now.Add(-72 * time.Hour), Host: status.HostSilent},
				Containers: map[status.State]int{status.StateLost: 12, status.StateStopped: 1}},
			{Name: "n5", Owner: owner, Silence: &status.Silence{Since: now.Add(-time.Second)}},
			{Name: "n6", Owner: owner},
			{Name: "n7", Containers: map[status.State]int{status.StateInvalid: 1}},
		},
	}
}

func TestNodeTable(t *testing.T) {
	golden(t, "nodes", describeNodes(roster()).table(plain, now))
	golden(t, "nodes-colour", describeNodes(roster()).table(coloured, now))
	golden(t, "nodes-empty", nodeList{etcd: "127.0.0.1:2379 under /eru"}.table(plain, now))
}

func TestNodeDocument(t *testing.T) {
	for name, r := range map[string]status.Roster{"nodes-document": roster(), "nodes-document-empty": {}} {
		b, err := json.MarshalIndent(describeNodes(r), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(b)+"\n")
	}
}
