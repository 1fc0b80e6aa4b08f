// Command eru-lb follows in etcd which containers can serve, and brings a proxy
// to it.
package main

import (
	"context"
	"os"

	"github.com/projecteru2/eru-agent/cmd/balancer"
)

func main() {
	os.Exit(balancer.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
