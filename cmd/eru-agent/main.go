// Command eru-agent watches the containers of a Docker node and says in etcd
// which of them can serve.
package main

import (
	"context"
	"os"

	"github.com/projecteru2/eru-agent/cmd"
)

func main() {
	os.Exit(cmd.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
