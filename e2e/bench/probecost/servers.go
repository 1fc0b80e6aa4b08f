package probecost

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// serveVar asks a copy of this program to be the probed servers.
const serveVar = "ERU_PROBECOST_SERVERS"

// Serve makes this process the probed servers if Measure started it as such,
// and then returns true once they are no longer wanted. A program that calls
// Measure calls it first.
func Serve() (bool, error) {
	count := os.Getenv(serveVar)
	if count == "" {
		return false, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return true, fmt.Errorf("reading %s: %w", serveVar, err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})}
	defer server.Close()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return true, fmt.Errorf("listening: %w", err)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		go func() { _ = server.Serve(l) }()
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the one who asked is gone
	return true, err
}

// servers are n HTTP servers in a process of their own.
type servers struct {
	ports []uint16
	cmd   *exec.Cmd
	stdin io.Closer
}

func startServers(ctx context.Context, n int) (*servers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), serveVar+"="+strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the servers: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the servers: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the servers: %w", err)
	}
	s := &servers{cmd: cmd, stdin: stdin}
	lines := bufio.NewScanner(stdout)
	for len(s.ports) < n && lines.Scan() {
		port, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 16)
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("reading the servers' ports: %w", err)
		}
		s.ports = append(s.ports, uint16(port))
	}
	if len(s.ports) < n {
		s.stop()
		return nil, fmt.Errorf("the servers stopped after %d of %d ports; does this program call probecost.Serve first?", len(s.ports), n)
	}
	return s, nil
}

func (s *servers) stop() {
	_ = s.stdin.Close()
	_ = s.cmd.Wait()
}
