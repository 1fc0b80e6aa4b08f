package page

import (
	"slices"
	"time"
)

// scene is what those who follow have on their page. Nobody changes it. The zero
// scene is that of a client that was told nothing yet.
type scene struct {
	at    time.Time
	fault string            // why the node could not be asked
	parts map[string]string // by name: the page but for its rows
	rows  map[string]string // by container
	order []string          // of the rows
}

// newScene draws v without the times that go by.
func (p *Page) newScene(v *view) (*scene, error) {
	still := *v
	still.Up.Text = ""
	s := &scene{at: v.At, parts: map[string]string{}, rows: make(map[string]string, len(v.Rows)), order: make([]string, 0, len(v.Rows))}
	for _, name := range []string{"head", "vitals", "hour", "rest"} {
		text, err := p.draw(name, &still)
		if err != nil {
			return nil, err
		}
		s.parts[name] = text
	}
	for _, r := range v.Rows {
		r.Since.Text = ""
		text, err := p.draw("row", r)
		if err != nil {
			return nil, err
		}
		s.rows[r.Key] = text
		s.order = append(s.order, r.Key)
	}
	return s, nil
}

// news is what differs from one scene to the next.
type news struct {
	Now   time.Time         `json:"now,omitzero"` // with the first parts
	Fault *string           `json:"fault,omitempty"`
	Parts map[string]string `json:"parts,omitempty"`
	Rows  []string          `json:"rows,omitempty"`
	Order []string          `json:"order,omitzero"` // of all rows
}

// since returns what has to be told to who has had, nil if that is nothing.
func (s *scene) since(had *scene) *news {
	n := news{Parts: map[string]string{}}
	if s.fault != had.fault {
		n.Fault = &s.fault
	}
	for name, text := range s.parts {
		if had.parts[name] != text {
			n.Parts[name] = text
		}
	}
	for _, key := range s.order {
		if had.rows[key] != s.rows[key] {
			n.Rows = append(n.Rows, s.rows[key])
		}
	}
	if !slices.Equal(s.order, had.order) {
		n.Order = s.order
	}
	switch {
	case had.parts == nil && s.parts != nil: // it may have anything on its page, from an earlier agent, say
		n.Now, n.Order, n.Fault = s.at, s.order, &s.fault
	case n.Fault == nil && len(n.Parts) == 0 && len(n.Rows) == 0 && n.Order == nil:
		return nil
	}
	return &n
}
