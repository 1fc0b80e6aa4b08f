package cmd

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/status"
)

// drainRecord is one operator's drain in JSON.
type drainRecord struct {
	Node      string `json:"node"`
	Container string `json:"container"` // its ID, or * for the whole node
	status.Drain
}

// drainRecords are those that are wanted, by node and ID. Of a container that is
// gone, or whose agent is silent, no status shows them.
func (o statusOptions) drainRecords(v status.Tree, d status.Drains) []drainRecord {
	apps := map[status.DrainKey]string{}
	for k := range v.Containers {
		apps[status.DrainKey{Node: k.Node, ID: k.ID}] = k.App
	}
	list := []drainRecord{}
	for k, wish := range d.Wishes {
		if (o.node == "" || o.node == k.Node) && (o.app == "" || o.app == apps[k]) {
			list = append(list, drainRecord{k.Node, k.ID, wish})
		}
	}
	slices.SortFunc(list, func(a, b drainRecord) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Container, b.Container))
	})
	return list
}

// drainTable shows the drains that stand in etcd, "" for none.
func (o statusOptions) drainTable(v status.Tree, d status.Drains, p paint, now time.Time) string {
	rows := [][]cell{{{"DRAIN OF", bold}, {"NODE", bold}, {"BY", bold}, {"LEFT", bold}, {"REASON", bold}}}
	for _, r := range o.drainRecords(v, d) {
		of, left := r.Container[:min(len(r.Container), 12)], "-"
		if r.Container == status.WholeNode {
			of = "whole node"
		}
		if !r.Until.IsZero() {
			left = age(r.Until.Sub(now))
		}
		rows = append(rows, []cell{{text: of}, {text: r.Node}, {text: cmp.Or(r.By, "-")}, {text: left}, {r.Reason, grey}})
	}
	if len(rows) == 1 {
		return ""
	}
	var b strings.Builder
	b.WriteByte('\n')
	writeTable(&b, p, rows)
	return b.String()
}
