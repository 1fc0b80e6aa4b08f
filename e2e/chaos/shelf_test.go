package chaos

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"strings"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// shelf is what stands in etcd under a node's prefix: the newest of each container, by its ID. Whatever comes onto it must
// be in its place and fit to be read.
type shelf struct {
	row    *row
	n      *rig.Node
	read   int
	labels map[string]map[string]string // of each container
	last   map[string]rig.Status
}

// keysOf are all keys that an agent of a node may write.
func keysOf(node string) *regexp.Regexp {
	return regexp.MustCompile(`^(status/[A-Za-z0-9._-]{1,128}/[A-Za-z0-9._-]{1,128}/` + node + `/[0-9a-f]{64}|status:node/` + node + `|agent/` + node + `|selfmon/active(/[0-9a-f]+)?|witness/[0-9]+)$`)
}

// look takes in what is new, and says whether ok holds of it.
func (s *shelf) look(ok func(map[string]rig.Status) bool) func() bool {
	keys := keysOf(s.n.Name)
	return func() bool {
		events := s.n.Since(s.read)
		s.read += len(events)
		for _, e := range events {
			if !keys.MatchString(e.Key) {
				s.row.wrongly("revision %d is about a key that has no place: %q", e.Revision, e.Key)
			}
			if strings.HasPrefix(e.Key, "status/") {
				s.take(e)
			}
		}
		return ok(s.last)
	}
}

func (s *shelf) take(e rig.Event) {
	id := e.Key[strings.LastIndexByte(e.Key, '/')+1:]
	if e.Deleted() {
		delete(s.last, id)
		return
	}
	one := e.Status(s.row.t)
	if one.ID != id || one.Healthy != (one.State == "healthy") || len(one.Detail) > 256 || unprintable(one.Detail) || strings.ContainsAny(string(e.Value), "\n\x1b\x00") {
		s.row.wrongly("revision %d is not fit to be read: %.500q", e.Revision, e.Value)
	}
	if one.Extension != "" {
		s.extension(e, one)
	}
	s.last[id] = one
}

// extension holds that the labels are told as they are, and are not many.
func (s *shelf) extension(e rig.Event, one rig.Status) {
	text, err := base64.StdEncoding.DecodeString(one.Extension)
	told := map[string]string{}
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	if err != nil || len(text) > 16<<10 || !maps.Equal(told, s.labels[one.ID]) {
		s.row.wrongly("revision %d tells other labels: %v: %.500q", e.Revision, err, text)
	}
}
