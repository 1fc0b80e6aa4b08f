package network_test

import (
	"net"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/network"
)

// reached says whether an address of a host can be connected to.
func reached(address string) error {
	conn, err := net.DialTimeout("tcp", address, 500*time.Millisecond)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func reaches(from *network.Host, address string) bool {
	return from.Visit(func() error { return reached(address) }) == nil
}

// serve answers on a host until the test ends, and returns the port.
func serve(t *testing.T, on *network.Host) string {
	t.Helper()
	l, err := on.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestHosts holds that each fault cuts what it says and nothing else, and ends.
func TestHosts(t *testing.T) {
	w, err := network.New(3)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := w.Hosts[0], w.Hosts[1], w.Hosts[2]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range w.Hosts {
		must(h.Own([]string{"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"}[i]))
		must(h.Keep("172.17.0.0/16"))
	}
	port := serve(t, b)
	holds := func(when string, fromA, fromC, fromHere bool) {
		t.Helper()
		for what, tt := range map[string]struct{ got, want bool }{
			"a, by its address":      {reaches(a, net.JoinHostPort(b.Address, port)), fromA},
			"a, by a container's":    {reaches(a, net.JoinHostPort("10.2.3.4", port)), fromA},
			"c":                      {reaches(c, net.JoinHostPort(b.Address, port)), fromC},
			"this machine":           {reached(net.JoinHostPort(b.Address, port)) == nil, fromHere},
			"itself, by a bridge's":  {reaches(b, net.JoinHostPort("172.17.0.2", port)), true},
			"a, by a bridge's":       {reaches(a, net.JoinHostPort("172.17.0.2", port)), false},
			"itself, by a container": {reaches(b, net.JoinHostPort("10.2.3.4", port)), true},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: %s reaches b: %t", when, what, tt.got)
			}
		}
	}
	holds("at first", true, true, true)
	must(b.CutFrom(a))
	holds("cut from a", false, true, true)
	must(b.Heal())
	holds("healed", true, true, true)
	must(b.Cut())
	holds("cut", false, false, false)
	must(b.Heal())
	must(network.Off(b))
	holds("off", false, false, false)
	must(b.On())
	holds("on", true, true, true)
}
