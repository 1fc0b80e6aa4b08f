package status

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// read turns one stored key into a Change of scope. What cannot be read is none,
// so that its key stays as it was. The fault is why, or what was left out of a
// value that was read.
func (l layout) read(kv *mvccpb.KeyValue, scope Scope) (Change, *fault) {
	key := string(kv.Key)
	wrong := func(why string, err error) *fault { return &fault{key, kv.ModRevision, why, err} }
	if strings.HasPrefix(key, l.nodes()) {
		name, ok := l.parseNode(key)
		if !ok {
			return Change{}, wrong(faultKey, fmt.Errorf("reading key %q: want %s<node>", key, l.nodes()))
		}
		n, why, err := readNode(kv.Value)
		if err != nil {
			return Change{}, wrong(why, err)
		}
		n.Nodename = name
		return Change{NodeUp: &n}, nil
	}
	k, err := l.parse(key)
	if err != nil {
		return Change{}, wrong(faultKey, err)
	}
	if !scope.holds(k) {
		return Change{}, nil
	}
	s, why, err := readStatus(k, kv.Value)
	if err != nil {
		return Change{}, wrong(why, err)
	}
	err = s.dropAddresses()
	c := Change{Put: &Entry{Key: k, Status: s, Revision: kv.ModRevision}}
	if err != nil {
		return c, wrong(faultAddress, err)
	}
	return c, nil
}

// readDeletion is the Change of a deleted key.
func (l layout) readDeletion(key string, scope Scope) Change {
	if name, ok := l.parseNode(key); ok {
		return Change{NodeGone: name}
	}
	if k, err := l.parse(key); err == nil && scope.holds(k) {
		return Change{Deleted: &k}
	}
	return Change{}
}

// isObject makes sure that a value is a JSON object that is no larger than what
// is written. null would else be a container that does not run.
func isObject(value []byte) (string, error) {
	if len(value) > maxValue {
		return faultSize, fmt.Errorf("the value has %d bytes, and at most %d are read", len(value), maxValue)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte("{")) {
		return faultJSON, errors.New("the value is no JSON object")
	}
	return "", nil
}

func readNode(value []byte) (Node, string, error) {
	if why, err := isObject(value); err != nil {
		return Node{}, why, err
	}
	n, err := DecodeNode(value)
	return n, faultJSON, err
}

// readStatus reads what a container's key holds as a reader must that acts on it;
// an error comes with its fault.
func readStatus(k Key, value []byte) (Status, string, error) {
	if why, err := isObject(value); err != nil {
		return Status{}, why, err
	}
	s, err := Decode(value)
	if err != nil {
		return Status{}, faultJSON, err
	}
	if s.V < 0 || s.V > Version {
		return Status{}, faultVersion, fmt.Errorf("the value is of version %d, and %d is known", s.V, Version)
	}
	if err := s.contradicts(k); err != nil {
		return Status{}, faultContradiction, err
	}
	return s, "", nil
}

// contradicts says what in s cannot be true together. State is empty in the
// values of agents that know healthy and running only.
func (s Status) contradicts(k Key) error {
	switch {
	case s.ID != "" && s.ID != k.ID:
		return fmt.Errorf("the value is of container %q", s.ID)
	case s.Healthy && !s.Running:
		return errors.New("the value says healthy, and that it does not run")
	case s.Healthy && s.State != StateHealthy && s.State != "":
		return fmt.Errorf("the value says healthy, and state %q", s.State)
	}
	return nil
}

// dropAddresses leaves the endpoints that can be dialled, and says which of the
// others was first.
func (s *Status) dropAddresses() error {
	var first error
	maps.DeleteFunc(s.Endpoints, func(port, address string) bool {
		_, err := parseAddress(address)
		if err != nil && first == nil {
			first = fmt.Errorf("the endpoint of port %q: %w", port, err)
		}
		return err != nil
	})
	return first
}

// parseAddress reads an endpoint: the IP address of one host, and a port.
func parseAddress(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	ip := a.Addr().Unmap()
	switch {
	case err != nil:
		return a, err
	case a.Port() == 0, ip.Zone() != "", ip.IsUnspecified(), ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return a, fmt.Errorf("%q is no address of a host and port", s)
	}
	return netip.AddrPortFrom(ip, a.Port()), nil
}
