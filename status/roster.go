package status

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Roster is every node of which anything stands in etcd, and who looks after
// those that are silent.
type Roster struct {
	Monitor *Monitor // nil: nobody is elected
	Nodes   []NodeState
}

// NodeState is what etcd says of one node.
type NodeState struct {
	Name       string
	Record     *Node    // nil: it holds no session
	Owner      Owner    // who was last its agent; zero if nobody knows
	Silence    *Silence // nil: no monitor has noted one
	Containers map[State]int
}

// Roster reads all of it, the statuses too: it is for people, and now and then.
func (s *Store) Roster(ctx context.Context) (Roster, error) {
	tree, err := s.List(ctx)
	if err != nil {
		return Roster{}, err
	}
	nodes := map[string]*NodeState{}
	node := func(name string) *NodeState {
		if nodes[name] == nil {
			nodes[name] = &NodeState{Name: name, Containers: map[State]int{}}
		}
		return nodes[name]
	}
	for name, record := range tree.Nodes {
		node(name).Record = &record
	}
	for k, e := range tree.Containers {
		node(k.Node).Containers[e.Status.State]++
	}
	_, err = s.pages(ctx, s.keys.owners(), func(kv keyValue) {
		if name := kv.Key[len(s.keys.owners()):]; ValidName(name) {
			s.readJSON(kv, &node(name).Owner)
		}
	})
	if err != nil {
		return Roster{}, err
	}
	vigil, err := s.Vigil(ctx)
	if err != nil {
		return Roster{}, err
	}
	for name, silence := range vigil.Silences {
		if n := nodes[name]; n != nil && n.Record == nil {
			n.Silence = &silence
		}
	}
	r := Roster{Monitor: vigil.Monitor}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		r.Nodes = append(r.Nodes, *nodes[name])
	}
	return r, nil
}

// monitor is who is elected, nil if nobody is.
func (s *Store) monitor(ctx context.Context) (*Monitor, error) {
	resp, err := s.txn(ctx, nil, []clientv3.Op{clientv3.OpGet(s.keys.active())}, nil)
	if err != nil {
		return nil, err
	}
	for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
		var m Monitor
		s.readJSON(keyValue{Key: string(kv.Key), Value: kv.Value}, &m)
		return &m, nil
	}
	return nil, nil
}

// readJSON decodes a value; one that cannot be read is said so and left zero.
func (s *Store) readJSON(kv keyValue, into any) bool {
	if err := json.Unmarshal(kv.Value, into); err != nil {
		s.log.Warn("passing over a value", zap.String("key", kv.Key), zap.Error(err))
		return false
	}
	return true
}
