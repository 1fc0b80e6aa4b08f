package contrib

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

const dashboardFile = "grafana/eru-agent.json"

// dashboard is what is used of Grafana's schema, version 39. Grafana itself is silent about a field that it does not know.
type dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Version       int      `json:"version"`
	Editable      bool     `json:"editable"`
	GraphTooltip  int      `json:"graphTooltip"`
	Refresh       string   `json:"refresh"`
	Timezone      string   `json:"timezone"`
	Time          struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"time"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct{} `json:"list"`
	} `json:"annotations"`
	Links  []struct{} `json:"links"`
	Panels []panel    `json:"panels"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type variable struct {
	Name       string          `json:"name"`
	Label      string          `json:"label"`
	Type       string          `json:"type"`
	Datasource *source         `json:"datasource"`
	Definition string          `json:"definition"`
	Query      json.RawMessage `json:"query"` // a text for datasource, an object for query
	Refresh    int             `json:"refresh"`
	Sort       int             `json:"sort"`
	Multi      bool            `json:"multi"`
	IncludeAll bool            `json:"includeAll"`
	AllValue   string          `json:"allValue"`
	Current    struct {
		Selected bool   `json:"selected"`
		Text     string `json:"text"`
		Value    string `json:"value"`
	} `json:"current"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Collapsed   bool       `json:"collapsed"`
	Datasource  *source    `json:"datasource"`
	GridPos     grid       `json:"gridPos"`
	Panels      []struct{} `json:"panels"`
	FieldConfig struct {
		Defaults struct {
			Unit   string   `json:"unit"`
			Min    *float64 `json:"min"`
			Custom struct {
				FillOpacity int `json:"fillOpacity"`
				Stacking    struct {
					Mode string `json:"mode"`
				} `json:"stacking"`
			} `json:"custom"`
		} `json:"defaults"`
		Overrides []struct{} `json:"overrides"`
	} `json:"fieldConfig"`
	Options struct {
		Legend struct {
			DisplayMode string `json:"displayMode"`
			Placement   string `json:"placement"`
		} `json:"legend"`
		Tooltip struct {
			Mode string `json:"mode"`
		} `json:"tooltip"`
		ReduceOptions struct {
			Calcs []string `json:"calcs"`
		} `json:"reduceOptions"`
	} `json:"options"`
	Targets []target `json:"targets"`
}

type target struct {
	RefID        string  `json:"refId"`
	Datasource   *source `json:"datasource"`
	Expr         string  `json:"expr"`
	LegendFormat string  `json:"legendFormat"`
}

type grid struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

func (g grid) overlaps(o grid) bool {
	return g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var board dashboard
	if err := d.Decode(&board); err != nil {
		t.Fatalf("reading %s: %v", dashboardFile, err)
	}
	return board
}

func TestDashboard(t *testing.T) {
	board := readDashboard(t)
	if board.UID == "" || board.Title == "" || board.SchemaVersion != 39 {
		t.Errorf("it is %q (%q) of schema %d", board.UID, board.Title, board.SchemaVersion)
	}
	ids := map[int]string{}
	for i, p := range board.Panels {
		if other, taken := ids[p.ID]; taken || p.ID == 0 {
			t.Errorf("%q and %q have the ID %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("%q stands at %+v, of 24 columns", p.Title, g)
		}
		for _, other := range board.Panels[:i] {
			if p.GridPos.overlaps(other.GridPos) {
				t.Errorf("%q lies upon %q", p.Title, other.Title)
			}
		}
		p.holds(t)
	}
}

// holds what Grafana needs to show it.
func (p panel) holds(t *testing.T) {
	t.Helper()
	switch p.Type {
	case "row":
		if len(p.Targets) > 0 || p.Title == "" {
			t.Errorf("row %d (%q) has %d queries", p.ID, p.Title, len(p.Targets))
		}
		return
	case "timeseries", "stat":
	default:
		t.Errorf("%q is a %q", p.Title, p.Type)
	}
	if p.Title == "" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("panel %d (%q) lacks a title, a query or a unit", p.ID, p.Title)
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if refs[q.RefID] || q.RefID == "" || q.Expr == "" {
			t.Errorf("%q: query %q is %q, or is there twice", p.Title, q.RefID, q.Expr)
		}
		refs[q.RefID] = true
		if q.Datasource == nil || *q.Datasource != (source{"prometheus", "${datasource}"}) {
			t.Errorf("%q asks %v, not the source that was chosen", p.Title, q.Datasource)
		}
	}
}

// TestVariables: there is a choice of source, node and app, and all of a choice means all.
func TestVariables(t *testing.T) {
	want := map[string]string{"datasource": "datasource", "node": "query", "app": "query"}
	for _, v := range readDashboard(t).Templating.List {
		if want[v.Name] != v.Type {
			t.Errorf("variable %q is a %q", v.Name, v.Type)
		}
		delete(want, v.Name)
		if v.Type != "query" {
			continue
		}
		var query struct {
			Query string `json:"query"`
			RefID string `json:"refId"`
		}
		if err := json.Unmarshal(v.Query, &query); err != nil || query.Query != v.Definition || v.AllValue != ".*" || !v.IncludeAll {
			t.Errorf("variable %q asks %q, defined as %q: %v", v.Name, query.Query, v.Definition, err)
		}
	}
	for name := range want {
		t.Errorf("there is no variable %q", name)
	}
}
