// Command eru-agent-dubbo is eru-agent with the dubbo prober compiled in.
package main

import (
	"context"
	"os"

	"github.com/projecteru2/eru-agent/cmd"
	"github.com/projecteru2/eru-agent/examples/dubbo"
)

func main() {
	os.Exit(cmd.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr, dubbo.Prober{}))
}
