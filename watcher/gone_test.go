package watcher

import (
	"testing"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// A container that is removed between the first listing and its details was told to be present: that it is gone must not
// wait for the next listing.
func TestGoneBeforeDetails(t *testing.T) {
	for name, before := range map[string]func(s *dockertest.Server, id string){
		"running": func(*dockertest.Server, string) {},
		"exited":  func(s *dockertest.Server, id string) { s.Die(id, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dockertest.Config{})
			web := f.s.Run(ours("web"))
			before(f.s, web.ID)
			f.s.Hang("/containers/" + web.ID + "/json")
			f.run()
			f.expect(Listed, "")
			f.s.Remove(web.ID)
			f.expect(Removed, web.ID)
		})
	}
}
