package status

import (
	"net"
	"net/netip"
	"net/url"
	"testing"
)

// FuzzProjections holds that nothing which stands in a status, or in the place of
// a server, makes a projection write what its reader cannot read.
func FuzzProjections(f *testing.F) {
	f.Add("80", "10.0.0.5:32768", "http://10.0.0.5:80")
	f.Add("x", "[fd00::7]:80", "http://[fe80::1%eth0]:80")
	f.Add("", "[::ffff:10.0.0.5]:80", "10.0.0.5:80")
	f.Add("-1", "0.0.0.0:80", "http://host:80/\n")
	f.Fuzz(func(t *testing.T, port, endpoint, stands string) {
		s := Status{State: StateHealthy, Endpoints: map[string]string{port: endpoint}}
		if d := s.dns(); d != (DNS{}) && (net.ParseIP(d.Host) == nil || d.Port == 0) {
			t.Errorf("%q becomes %+v", endpoint, d)
		}
		of := newServer(Key{App: "shop", Entrypoint: "web", ID: "c1"})
		of.has.url = stands
		of.want(s)
		switch got := of.target(); {
		case got == serverValues{}:
			return
		case got.weight != "0" && got.weight != "1":
			t.Errorf("%q beside %q has the weight %q", endpoint, stands, got.weight)
		default:
			u, err := url.Parse(got.url)
			if err != nil {
				t.Fatalf("%q beside %q becomes %q: %v", endpoint, stands, got.url, err)
			}
			if _, err := netip.ParseAddrPort(u.Host); err != nil || got.url != "http://"+u.Host {
				t.Errorf("%q beside %q becomes %q", endpoint, stands, got.url)
			}
		}
	})
}
