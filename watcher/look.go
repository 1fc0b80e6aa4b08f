package watcher

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Sight is what Docker says of one container, for a person.
type Sight struct {
	Exists    bool
	Ours      bool // by its labels
	Created   bool // and never started
	Running   bool
	Exit      Exit // of one that does not run
	Container Container
}

// Look asks Docker for one container by ID, by the beginning of one, or by name.
// One that does not exist is no error.
func Look(ctx context.Context, cfg Config, name string) (Sight, error) {
	d := &docker{cfg: cfg}
	cli, err := d.connect(ctx)
	if err != nil {
		return Sight{}, err
	}
	defer func() { _ = cli.Close() }()
	got, err := inspect(ctx, cli, name)
	if err != nil {
		return Sight{}, err
	}
	return Sight{Exists: got.phase != phaseRemoved, Ours: selector(cfg.Select)(got.container.Labels), Created: got.phase == phaseCreated,
		Running: got.phase == phaseRunning, Exit: got.exit, Container: got.container}, nil
}

// Listening are the TCP addresses on which anybody listens in the network
// namespace of a process, in order. It reads what the kernel shows of that
// process, which takes no rights over it.
func Listening(pid int) ([]netip.AddrPort, error) {
	var list []netip.AddrPort
	for _, file := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if os.IsNotExist(err) && file == "tcp6" {
			continue // IPv6 is off
		}
		if err != nil {
			return nil, fmt.Errorf("reading who listens in the namespace of process %d: %w", pid, err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if at, ok := listener(lines.Text()); ok {
				list = append(list, at)
			}
		}
		_ = f.Close()
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list), nil
}

// listener reads a line of /proc/net/tcp (proc(5)): the address is in hexadecimal, each four
// bytes of it in the machine's order, which is little-endian wherever Docker is.
func listener(line string) (netip.AddrPort, bool) {
	const listen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[3] != listen {
		return netip.AddrPort{}, false
	}
	host, port, _ := strings.Cut(fields[1], ":")
	b, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
