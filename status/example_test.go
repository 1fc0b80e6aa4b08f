package status_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/projecteru2/eru-agent/status"
)

// A proxy follows one service, and sends its requests to what is ready.
func ExampleView() {
	log := zap.NewNop()
	store := status.NewStore(status.Config{Endpoints: []string{"192.0.2.1:2379"}, Prefix: "/eru", Timeout: 3 * time.Second}, log)
	defer func() { _ = store.Close() }()
	view := status.NewView(store, status.ViewConfig{
		Scope: status.Scope{App: "shop", Entrypoint: "web"},
		Hold:  2 * time.Second,
		File:  "/var/lib/proxy/shop.json",
	}, log)

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond) // until the proxy ends
	defer cancel()
	ended := make(chan error)
	go func() { ended <- view.Run(ctx) }()
	for {
		select {
		case <-view.Changed():
			if service := view.Service("shop", "web"); service != nil {
				fmt.Println(targets(service, "80"))
			}
		case err := <-ended:
			fmt.Println("ended:", err)
			return
		}
	}
	// Output: ended: <nil>
}

// targets are the addresses behind one of the containers' ports that get
// requests.
func targets(service *status.Service, port string) []string {
	var list []string
	for _, server := range service.Servers {
		if at, ok := server.Status.Endpoints[port]; ok && server.Use == status.UseReady {
			list = append(list, at)
		}
	}
	return list
}

// What is known outlives a reader in its copy: one that starts while etcd is away
// begins with the last known set.
func ExampleNewView_copy() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "shop.json")
	left := `{"format":1,"prefix":"/eru","scope":{"app":"shop"},"revision":12,"keys":{
		"status/shop/web/n1/a":{"value":{"running":true,"healthy":true,"state":"healthy","endpoints":{"80":"10.0.0.5:32768"}},"revision":11,"in":true},
		"status/shop/web/n1/b":{"value":{"running":true,"healthy":false,"state":"draining","endpoints":{"80":"10.0.0.5:32769"}},"revision":12}}}`
	if err := os.WriteFile(file, []byte(left), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	store := status.NewStore(status.Config{Endpoints: []string{"127.0.0.1:2379"}, Prefix: "/eru"}, zap.NewNop())
	view := status.NewView(store, status.ViewConfig{Scope: status.Scope{App: "shop"}, File: file}, zap.NewNop())
	service := view.Service("shop", "web")
	fmt.Println(targets(service, "80"), "from the copy:", view.State().FromCopy)
	for _, server := range service.Servers {
		fmt.Println(server.Key.ID, server.Status.State, server.Use == status.UseDrain)
	}
	// Output:
	// [10.0.0.5:32768] from the copy: true
	// a healthy false
	// b draining true
}

// Server.Kept tells what is used in spite of its status, and Service.Panic why:
// that is worth an alert.
func ExampleServer_Kept() {
	service := status.Service{Panic: true, Servers: []status.Server{
		{Key: status.Key{ID: "a"}, Use: status.UseReady, Status: status.Status{State: status.StateUnhealthy}},
		{Key: status.Key{ID: "b"}, Use: status.UseReady, Status: status.Status{State: status.StateHealthy, Healthy: true}},
	}}
	for _, server := range service.Servers {
		fmt.Println(server.Key.ID, server.Kept())
	}
	// Output:
	// a true
	// b false
}
