package chaos

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// sniffer sees where the processes of a network namespace try to connect, as the kernel carries it: nothing that they say
// of themselves is believed.
type sniffer struct {
	t    testing.TB
	fd   int
	done chan struct{}
	stop chan struct{}

	mu      sync.Mutex
	dialled map[netip.AddrPort]int // first packets of TCP connections
	strange map[string]int         // what is no TCP: "udp to 192.0.2.1:53"
}

// sniff begins to watch the loopback interface, and ends with the test.
func sniff(t testing.TB) *sniffer {
	t.Helper()
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in the order of the network
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("sniffing: %v", err)
	}
	filter := firstPackets(t)
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: 1}),
	)
	if err != nil {
		t.Fatalf("sniffing: %v", err)
	}
	s := &sniffer{t: t, fd: fd, done: make(chan struct{}), stop: make(chan struct{}), dialled: map[netip.AddrPort]int{}, strange: map[string]int{}}
	go s.run()
	t.Cleanup(func() {
		close(s.stop)
		<-s.done
		_ = unix.Close(fd)
	})
	return s
}

// firstPackets lets pass what is no TCP, and of TCP what opens a connection: SYN without ACK.
func firstPackets(t testing.TB) []unix.SockFilter {
	t.Helper()
	const pass, drop, tcp, opens = 1 << 16, 0, 6, 0x02
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x60, SkipTrue: 6}, // to IPv6
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcp, SkipTrue: 9},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: opens, SkipTrue: 5, SkipFalse: 6},
		bpf.LoadAbsolute{Off: 6, Size: 1}, // IPv6
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: tcp, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 40 + 13, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x12},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: opens, SkipTrue: 1},
		bpf.RetConstant{Val: pass},
		bpf.RetConstant{Val: drop},
	})
	if err != nil {
		t.Fatal(err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return filter
}

func (s *sniffer) run() {
	defer close(s.done)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(s.fd, buf, 0)
		if err != nil {
			select {
			case <-s.stop:
				return
			default:
				continue // nothing came for a while
			}
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype != unix.PACKET_OUTGOING { // each packet is seen twice here
			s.note(buf[:n])
		}
	}
}

func (s *sniffer) note(packet []byte) {
	to, tcp := destination(packet)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !tcp {
		s.strange[to.String()]++
		return
	}
	s.dialled[to]++
}

// destination reads the head of a packet, IPv4 or IPv6.
func destination(packet []byte) (netip.AddrPort, bool) {
	if len(packet) < 20 {
		return netip.AddrPort{}, false
	}
	addr, proto, rest := netip.Addr{}, packet[9], []byte(nil)
	switch {
	case packet[0]>>4 == 4 && len(packet) >= int(packet[0]&0xf)*4:
		addr, rest = netip.AddrFrom4([4]byte(packet[16:20])), packet[packet[0]&0xf*4:]
	case packet[0]>>4 == 6 && len(packet) >= 40:
		addr, proto, rest = netip.AddrFrom16([16]byte(packet[24:40])), packet[6], packet[40:]
	}
	if len(rest) < 4 {
		return netip.AddrPortFrom(addr, 0), false
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest[2:4])), proto == 6
}

// seen is where connections were opened to, and what else was sent, once everything up to now has been looked at. It fails
// if the kernel has kept something from it.
func (s *sniffer) seen() (map[netip.AddrPort]int, map[string]int) {
	s.t.Helper()
	<-time.After(200 * time.Millisecond) // what is in the socket's buffer
	stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		s.t.Errorf("%d packets were not seen: %v", stats.Drops, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	dialled, strange := s.dialled, s.strange
	s.dialled, s.strange = map[netip.AddrPort]int{}, map[string]int{}
	return dialled, strange
}
