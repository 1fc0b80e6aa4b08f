package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/projecteru2/eru-agent/status"
)

// sight is one write as an independent watcher of etcd saw it.
type sight struct {
	id     string       // the last part of the key
	status bool         // it is a container's
	state  status.State // "" when the key was deleted
	at     time.Time
}

// follow watches all keys of one node.
func (s *stage) follow(ctx context.Context, node string) <-chan sight {
	sights := make(chan sight, 100_000)
	go func() {
		for resp := range s.client.Watch(ctx, "/eru/", clientv3.WithPrefix()) {
			now := time.Now()
			for _, ev := range resp.Events {
				key := string(ev.Kv.Key)
				if !strings.Contains(key+"/", "/"+node+"/") {
					continue
				}
				v, _ := status.Decode(ev.Kv.Value) // a deletion has none
				sights <- sight{id: key[strings.LastIndexByte(key, '/')+1:], status: strings.HasPrefix(key, "/eru/status/"), state: v.State, at: now}
			}
		}
	}()
	return sights
}

// await waits until id is seen in a state.
func await(ctx context.Context, sights <-chan sight, id string, state status.State) (sight, error) {
	late := time.After(20 * time.Second)
	for {
		select {
		case got := <-sights:
			if got.id == id && got.state == state {
				return got, nil
			}
		case <-late:
			return sight{}, fmt.Errorf("container %.12s was not seen %s within 20 s", id, state)
		case <-ctx.Done():
			return sight{}, ctx.Err()
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
