package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// stopSignal is what a service manager sends to the agent.
const stopSignal = syscall.SIGTERM

// value is the key of a container's status in etcd, and what stands there.
func (f *fleet) value(ctx context.Context, m *member) (string, string, error) {
	resp, err := f.stage.Etcd.Client.Get(ctx, f.node.Prefix+"/status/shop/web/", clientv3.WithPrefix())
	if err != nil {
		return "", "", fmt.Errorf("reading statuses: %w", err)
	}
	for _, kv := range resp.Kvs {
		if strings.HasSuffix(string(kv.Key), "/"+m.id) {
			return string(kv.Key), string(kv.Value), nil
		}
	}
	return "", "", fmt.Errorf("reading statuses: there is none of %s", m.name())
}

// unhealthy is a healthy status turned round.
func unhealthy(healthy string) string {
	var fields map[string]any
	if err := json.Unmarshal([]byte(healthy), &fields); err != nil {
		panic(err) // it is the agent's own
	}
	fields["healthy"], fields["state"], fields["reason"] = false, "unhealthy", "http_code"
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return string(text)
}
