package watcher

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

func TestAddress(t *testing.T) {
	label := func(network string) map[string]string { return map[string]string{labelNetwork: network} }
	for _, test := range []struct {
		name   string
		spec   dockertest.Spec
		addr   string
		noAddr string
	}{
		{"default bridge", dockertest.Spec{}, "127.17.0.2", ""},
		{"user network", dockertest.Spec{Networks: map[string]string{"web": "10.0.0.2"}}, "10.0.0.2", ""},
		{"several, that of the mode", dockertest.Spec{NetworkMode: "web", Networks: map[string]string{"aaa": "10.0.1.2", "web": "10.0.0.2"}}, "10.0.0.2", ""},
		{"several, the mode's is left", dockertest.Spec{NetworkMode: "gone", Networks: map[string]string{"web": "10.0.0.2", "aaa": "10.0.1.2"}}, "10.0.1.2", ""},
		{"several, by label", dockertest.Spec{NetworkMode: "web", Networks: map[string]string{"aaa": "10.0.1.2", "web": "10.0.0.2"}, Labels: label("aaa")}, "10.0.1.2", ""},
		{"label of another network", dockertest.Spec{Networks: map[string]string{"web": "10.0.0.2", "aaa": "10.0.1.2"}, Labels: label("other")}, "",
			`eru.health.network="other": no address there; it has one on: "aaa", "web"`},
		{"empty label", dockertest.Spec{Labels: label("")}, "", `eru.health.network="": no address there; it has one on: "bridge"`},
		{"IPv6 only", dockertest.Spec{Networks: map[string]string{"six": "fd00::2"}}, "fd00::2", ""},
		{"IPv4 and IPv6", dockertest.Spec{Networks: map[string]string{"both": "10.0.0.2,fd00::2"}}, "10.0.0.2", ""},
		{"host", dockertest.Spec{NetworkMode: "host"}, "127.0.0.1", ""},
		{"host with label", dockertest.Spec{NetworkMode: "host", Labels: label("bridge")}, "",
			`eru.health.network="bridge": the container has the node's network and no other`},
		{"label that is not fit to be printed", dockertest.Spec{Networks: map[string]string{"a\nb": "10.0.0.2"}, Labels: label("\x1b")}, "",
			`eru.health.network="\x1b": no address there; it has one on: "a\nb"`},
		{"none", dockertest.Spec{NetworkMode: "none"}, "", `network mode "none": the container has no address that this node can reach`},
		{"label, none", dockertest.Spec{NetworkMode: "none", Labels: label("web")}, "", `eru.health.network="web": the container has no address that this node can reach`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := dockertest.New(t, dockertest.Config{})
			made := s.Run(test.spec)
			c, err := Find(t.Context(), Config{Endpoint: s.Endpoint()}, made.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(c.Addr); got != test.addr || c.NoAddr != test.noAddr {
				t.Errorf("address %q, %q; want %q, %q", got, c.NoAddr, test.addr, test.noAddr)
			}
			if c.Host != (test.spec.NetworkMode == "host") {
				t.Errorf("host: %v", c.Host)
			}
		})
	}
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Networks may be named by their ID.
func TestAddressByNetworkID(t *testing.T) {
	info := func(mode string, labels map[string]string) container.InspectResponse {
		return container.InspectResponse{
			ContainerJSONBase: &container.ContainerJSONBase{ID: "a", State: &container.State{Running: true, Pid: 1},
				HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(mode)}},
			Config: &container.Config{Labels: labels},
			NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
				"web": {NetworkID: "0123", IPAddress: "10.0.0.2"}, "aaa": {NetworkID: "4567", IPAddress: "10.0.1.2"}, "nil": nil,
				"bad": {NetworkID: "89ab", IPAddress: "not an address"},
			}},
		}
	}
	for _, test := range []struct {
		mode   string
		labels map[string]string
		want   string
		why    string
	}{
		{"0123", nil, "10.0.0.2", `network "web", which is that of its network mode`},
		{"web", map[string]string{labelNetwork: "4567"}, "10.0.1.2", `network "aaa", which the label eru.health.network names`},
		{"ffff", nil, "10.0.1.2", `network "aaa", the first by name: it has no address on "ffff", that of its network mode`},
		{"nil", nil, "10.0.1.2", `network "aaa", the first by name: it has no address on "nil", that of its network mode`},
		{"89ab", nil, "10.0.1.2", `network "aaa", the first by name: it has no address on "89ab", that of its network mode`},
		{"", nil, "10.0.1.2", `network "aaa", the first by name: it has no address on "bridge", that of its network mode`},
	} {
		if c := read(info(test.mode, test.labels)).container; text(c.Addr) != test.want || c.Why != test.why {
			t.Errorf("mode %q, labels %v: %q %s because of %s, want %q because of %s", test.mode, test.labels, text(c.Addr), c.NoAddr, c.Why, test.want, test.why)
		}
	}
}

// Any part of an answer may be missing.
func TestReadOfLittle(t *testing.T) {
	base := func(s *container.State) *container.ContainerJSONBase {
		return &container.ContainerJSONBase{ID: "a", State: s}
	}
	for _, test := range []struct {
		info  container.InspectResponse
		phase phase
	}{
		{container.InspectResponse{}, phaseUnknown},
		{container.InspectResponse{ContainerJSONBase: base(nil)}, phaseUnknown},
		{container.InspectResponse{ContainerJSONBase: base(&container.State{})}, phaseCreated},
		{container.InspectResponse{ContainerJSONBase: base(&container.State{StartedAt: "0001-01-01T00:00:00Z"})}, phaseCreated},
		{container.InspectResponse{ContainerJSONBase: base(&container.State{Running: true, Pid: 1})}, phaseRunning},
		{container.InspectResponse{ContainerJSONBase: base(&container.State{Paused: true, Pid: 1})}, phaseRunning}, // Podman
		{container.InspectResponse{ContainerJSONBase: base(&container.State{Running: true, StartedAt: "2026-01-01T00:00:00Z"})}, phaseExited},
	} {
		if d := read(test.info); d.phase != test.phase {
			t.Errorf("%+v: phase %v, want %v", test.info.ContainerJSONBase, d.phase, test.phase)
		}
	}
}

func TestPublished(t *testing.T) {
	tcp := func(bindings ...nat.PortBinding) nat.PortMap { return nat.PortMap{"80/tcp": bindings} }
	on := func(ip, port string) nat.PortBinding { return nat.PortBinding{HostIP: ip, HostPort: port} }
	for _, test := range []struct {
		name  string
		ports nat.PortMap
		want  string // of port 80
	}{
		{"none", nil, ""},
		{"exposed only", nat.PortMap{"80/tcp": nil}, ""},
		{"udp", nat.PortMap{"80/udp": {on("0.0.0.0", "8000")}}, ""},
		{"all, listed twice", tcp(on("0.0.0.0", "8000"), on("::", "8000")), "0.0.0.0:8000"},
		{"all, the other way round", tcp(on("::", "8000"), on("0.0.0.0", "8000")), "0.0.0.0:8000"},
		{"IPv6 only", tcp(on("::", "8000")), "[::]:8000"},
		{"no address", tcp(on("", "8000")), "0.0.0.0:8000"},
		{"one address", tcp(on("10.0.0.5", "8000")), "10.0.0.5:8000"},
		{"loopback only", tcp(on("127.0.0.1", "8000")), ""},
		{"another loopback", tcp(on("127.8.9.1", "8000")), ""},
		{"IPv6 loopback", tcp(on("::1", "8000")), ""},
		{"loopback first", tcp(on("127.0.0.1", "8000"), on("10.0.0.5", "8001")), "10.0.0.5:8001"},
		{"no port", tcp(on("0.0.0.0", "")), ""},
		{"nonsense", tcp(on("here", "8000"), on("0.0.0.0", "70000"), on("0.0.0.0", "0")), ""},
	} {
		info := container.InspectResponse{NetworkSettings: &container.NetworkSettings{}}
		info.NetworkSettings.Ports = test.ports
		got := ""
		for port, at := range published(info) {
			got = at.String()
			if port != 80 {
				t.Errorf("%s: port %d", test.name, port)
			}
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	s := dockertest.New(t, dockertest.Config{})
	web := s.Run(dockertest.Spec{Ports: []dockertest.Port{{Private: 80, Public: 8000}, {Private: 81, Public: 8001, HostIP: "127.0.0.1"}, {Private: 82, Public: 82, Proto: "udp"}, {Private: 83}}})
	c, err := Find(t.Context(), Config{Endpoint: s.Endpoint()}, web.ID)
	want := map[uint16]netip.AddrPort{80: netip.MustParseAddrPort("0.0.0.0:8000")}
	if err != nil || !maps.Equal(c.Published, want) {
		t.Errorf("published %v, want %v: %v", c.Published, want, err)
	}
}

// A container in another's network is reached where that one is, wherever it
// goes.
func TestSharedNetwork(t *testing.T) {
	f := newFixture(t, dockertest.Config{}).believed().start()
	target := f.s.Run(dockertest.Spec{Name: "target", Networks: map[string]string{"web": "10.0.0.2"}, Ports: []dockertest.Port{{Private: 80, Public: 8000}}})
	spec := oursWith("sharer", newChild(t))
	spec.NetworkMode = "container:" + target.ID
	sharer := f.s.Run(spec)
	labelled := ours("labelled")
	labelled.Labels[labelNetwork] = "aaa"
	labelled.NetworkMode = spec.NetworkMode
	lost := f.s.Run(labelled)
	at := func(id, addr, noAddr string) Container {
		t.Helper()
		for {
			if c := f.told[id].Container; c.ID == id && text(c.Addr) == addr && c.NoAddr == noAddr {
				return c
			}
			f.next()
		}
	}
	if c := at(sharer.ID, "10.0.0.2", ""); c.Published[80].Port() != 8000 || len(c.Networks) != 1 {
		t.Errorf("%+v", c)
	}
	at(lost.ID, "", `eru.health.network="aaa": no address there; it has one on: "web"`)
	gone := fmt.Sprintf("container %.12s, whose network it shares, does not run", target.ID)
	f.s.Die(target.ID, 1)
	if c := at(sharer.ID, "", gone); len(c.Networks) != 0 || len(c.Published) != 0 {
		t.Errorf("%+v", c)
	}
	f.s.NextLife(target.ID, dockertest.Life{Networks: map[string]string{"web": "10.0.0.9"}})
	f.s.Start(target.ID)
	at(sharer.ID, "10.0.0.9", "")
	f.s.Connect(target.ID, "aaa", "10.0.1.9")
	at(lost.ID, "10.0.1.9", "")
	f.s.Disconnect(target.ID, "web")
	at(sharer.ID, "10.0.1.9", "")
	if n := f.corrections(); n != 0 {
		t.Errorf("%d corrections", n)
	}
	f.settle()
	n := f.inspects(sharer.ID)
	f.s.CutStreams()
	f.until(Listed, "")
	f.settle()
	if now := f.inspects(sharer.ID); now != n {
		t.Errorf("%d inspects because of a listing without news", now-n)
	}
	stop := f.s.DropEvents(dockertest.Of(target.ID))
	f.s.Restart(target.ID)
	f.s.Connect(target.ID, "web", "10.0.0.7")
	f.s.ForgetEvents() // so that only the listing tells
	f.s.CutStreams()
	at(sharer.ID, "10.0.0.7", "")
	stop()
	f.s.Remove(target.ID)
	at(sharer.ID, "", gone)
}

// Podman's listing has had no networks; that is no difference.
func TestListingWithoutNetworks(t *testing.T) {
	f := started(t, dockertest.Config{NullNetworks: true})
	f.w.belongs = anybody
	web := f.s.Run(ours("web"))
	f.expect(Running, web.ID)
	f.tells()
	l, ok := f.w.listUntil(f.soon())
	if r := (&record{phase: phaseRunning, c: Container{Name: "web", Networks: map[string]netip.Addr{"bridge": loopback}}}); !ok || r.differs(l.all[web.ID], l.all) {
		t.Error("a listing without networks differs")
	}
	if got := f.inspects(web.ID); got != 1 {
		t.Errorf("%d inspects", got)
	}
}
