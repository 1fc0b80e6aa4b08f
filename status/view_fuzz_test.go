package status_test

import (
	"net/netip"
	"testing"

	"github.com/projecteru2/eru-agent/status"
)

// FuzzView holds that no key and no value makes a View panic or harms what it
// knows of others, that nothing is used which does not run, and that every address
// that is handed out can be dialled.
func FuzzView(f *testing.F) {
	well := string(in(status.StateHealthy, container(1)).Encode(7))
	f.Add("status/shop/web/node1/c0001", well)
	f.Add("status/shop/web/node1/c0002", well)
	f.Add("status/shop/web/node1/c0001", `{"running":true,"healthy":true,"endpoints":{"80":"10.0.0.5:80","81":"[::]:80","":""}}`)
	f.Add("status/shop/web/node1/c0001", `{"running":false,"healthy":true}`)
	f.Add("status/shop/web/node1/c0001", "null")
	f.Add("status:node/node1", nodeValue)
	f.Add("status:node/", "{}")
	f.Add("status//", "\xff")
	f.Fuzz(func(t *testing.T, key, value string) {
		v := status.NewTestView()
		v.Put("status/other/web/node1/c0009", string(in(status.StateHealthy, status.Key{ID: "c0009"}).Encode(1)))
		v.Put("/"+key, value)
		v.Put(key, value)
		if other := v.Service("other", "web"); key != "status/other/web/node1/c0009" && (other == nil || !ready(other, "c0009")) {
			t.Errorf("%q: %q: another service is %+v", key, value, other)
		}
		for _, s := range v.Services() {
			for _, srv := range s.Servers {
				if srv.Use == status.UseReady && !srv.Status.Running {
					t.Errorf("%q: %q: used, and does not run", key, value)
				}
				for _, at := range srv.Status.Endpoints {
					if a, err := netip.ParseAddrPort(at); err != nil || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() {
						t.Errorf("%q: %q: address %q", key, value, at)
					}
				}
			}
		}
	})
}

func ready(s *status.Service, id string) bool {
	for _, srv := range s.Servers {
		if srv.Key.ID == id {
			return srv.Use == status.UseReady
		}
	}
	return false
}
