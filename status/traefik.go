package status

import (
	"net/netip"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// traefikServices is where Traefik's etcd provider looks for services, with its
// rootKey as it is by default. It stands beside the prefix, not under it.
const traefikServices = "traefik/http/services/"

// traefikService is the name by which a router refers to the containers of k.
func traefikService(app, entrypoint string) string { return app + "-" + entrypoint }

// serversOf is what the keys of a service's servers begin with.
func serversOf(service string) string { return traefikServices + service + "/loadBalancer/servers/" }

// serverID is the name of a container among the servers of its service.
func serverID(id string) string { return id[:min(len(id), 12)] }

// server is a container in Traefik's tree: two keys that are written and removed
// with its status, so that all bear one revision.
//
// Traefik freezes all that it knows at the first value that it cannot read, and
// answers 404 for a service without a server. So neither is ever written.
type server struct {
	service string // its name in Traefik
	at      string // what both keys begin with: .../servers/<id>/

	address netip.AddrPort // wanted; not valid without an endpoint
	up      bool           // wanted: requests may be sent to it
	out     bool           // wanted: it shall not stand at all

	has serverValues // known, at the revisions below
	rev [2]int64     // ModRevision of url and weight, 0 absent, or unknown
}

// serverValues are what the two keys hold; "" for one that is not there.
type serverValues struct{ url, weight string }

func newServer(k Key) *server {
	service := traefikService(k.App, k.Entrypoint)
	return &server{service: service, at: serversOf(service) + serverID(k.ID) + "/"}
}

// want says what shall stand for a container of that status.
func (s *server) want(of Status) { s.address, s.up = of.dialled(), of.State == StateHealthy }

func (s *server) urlKey() string    { return s.at + "url" }
func (s *server) weightKey() string { return s.at + "weight" }

// target is what shall stand. A container that has lost its endpoints keeps the
// last one, without traffic: it may be the last server of its service.
func (s *server) target() serverValues {
	url := s.url()
	switch {
	case s.out || url == "":
		return serverValues{}
	case s.up && s.address.IsValid():
		return serverValues{url, "1"}
	default:
		return serverValues{url, "0"}
	}
}

// url is the wanted one, or else the one that stands; "" if Traefik could not read
// that.
func (s *server) url() string {
	at := s.address
	if !at.IsValid() {
		at = dialable(strings.TrimPrefix(s.has.url, "http://"))
	}
	if !at.IsValid() {
		return ""
	}
	return "http://" + at.String() // which puts IPv6 into brackets
}

// due says whether etcd holds something else than it shall.
func (s *server) due() bool {
	if s == nil {
		return false
	}
	t := s.target()
	return s.has != t || t.url == "" && s.stands()
}

// stands says whether one of the keys may be there.
func (s *server) stands() bool { return s != nil && s.rev != [2]int64{} }

// write returns what the next transaction does to the keys, and what stands
// after that.
func (s *server) write(remove bool) ([]clientv3.Op, serverValues) {
	t := s.target()
	switch {
	case t.url != "" && !remove:
		return []clientv3.Op{clientv3.OpPut(s.urlKey(), t.url), clientv3.OpPut(s.weightKey(), t.weight)}, t
	case s.stands():
		return []clientv3.Op{s.removal()}, serverValues{}
	default:
		return nil, serverValues{}
	}
}

// removal takes the server away if another one of its service stands, and its
// traffic if it is the last: a transaction in the transaction, so that of two
// nodes which remove the last two at the same moment the second sees that. It
// must be the only removal of that service in its transaction, because etcd
// evaluates all conditions before it does anything.
func (s *server) removal() clientv3.Op {
	gone := clientv3.OpDelete(s.at, clientv3.WithPrefix())
	url := s.url()
	if url == "" {
		return gone // nobody could send to it
	}
	all := serversOf(s.service)
	last := []clientv3.Op{clientv3.OpPut(s.urlKey(), url), clientv3.OpPut(s.weightKey(), "0")}
	after := clientv3.OpTxn(anyKey(clientv3.GetPrefixRangeEnd(s.at), clientv3.GetPrefixRangeEnd(all)), []clientv3.Op{gone}, last)
	return clientv3.OpTxn(anyKey(all, s.at), []clientv3.Op{gone}, []clientv3.Op{after})
}

// weigh gives a server that stands the weight that a status calls for. It is for
// who does not know what stands.
func (s *server) weigh(of Status) clientv3.Op {
	weight := "0"
	if of.State == StateHealthy {
		weight = "1"
	}
	return clientv3.OpTxn(anyKey(s.urlKey(), s.urlKey()+"\x00"), []clientv3.Op{clientv3.OpPut(s.weightKey(), weight)}, nil)
}

// anyKey is the condition that a key stands in [from, end). Of an empty range etcd
// compares a key that was never made.
func anyKey(from, end string) []clientv3.Cmp {
	return []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(from).WithRange(end), ">", 0)}
}

// conditions hold if the keys are as known, reads read them.
func (s *server) conditions() []clientv3.Cmp {
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(s.urlKey()), "=", s.rev[0]),
		clientv3.Compare(clientv3.ModRevision(s.weightKey()), "=", s.rev[1]),
	}
}

func (s *server) reads() []clientv3.Op {
	return []clientv3.Op{clientv3.OpGet(s.urlKey()), clientv3.OpGet(s.weightKey())}
}

// learn takes over the answers to reads, and says whether they are news.
func (s *server) learn(url, weight *etcdserverpb.RangeResponse) bool {
	was := s.rev
	s.has.url, s.rev[0] = single(url)
	s.has.weight, s.rev[1] = single(weight)
	return s.rev != was
}

func single(got *etcdserverpb.RangeResponse) (string, int64) {
	if len(got.Kvs) == 0 {
		return "", 0
	}
	return string(got.Kvs[0].Value), got.Kvs[0].ModRevision
}
