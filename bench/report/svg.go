package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"text/template"
)

//go:embed plot.svg.tmpl
var plot string

// panel is one pair of axes, in the picture's units.
type panel struct {
	Title         string
	Left, Width   float64
	Top, Height   float64
	Across, Up    []tick
	Curves        []curve
	least, most   float64 // of x
	lowest, scale float64 // of y
	log           bool    // both are logarithms
}

// Right is its right edge.
func (p panel) Right() float64 { return p.Left + p.Width }

// Below is the line of words under it.
func (p panel) Below() float64 { return p.Top + p.Height + 18 }

// Margin is where words at its left end.
func (p panel) Margin() float64 { return p.Left - 6 }

type tick struct {
	At   float64
	Text string
}

type curve struct {
	Name       string
	Class      string // how it is drawn
	Path       string
	Points     []dot
	EndX, EndY float64 // where its name stands
}

type dot struct{ X, Y float64 }

// Plot draws what the agent costs over the number of containers: CPU per second
// and memory.
func (r *Report) Plot(path string) error {
	if len(r.Points) == 0 {
		return fmt.Errorf("drawing %s: nothing of the group cost was measured", path)
	}
	t, err := template.New("plot").Parse(plot)
	if err != nil {
		return fmt.Errorf("reading the picture's template: %w", err)
	}
	var text strings.Builder
	cpu := newPanel("CPU, ms in a second", 60, true, r.Points, func(p Point) float64 { return p.CPU })
	// Of one kind: what is probed makes no difference to memory that could be seen here.
	kind := slices.DeleteFunc(slices.Clone(r.Points), func(p Point) bool { return p.Kind != r.Points[0].Kind })
	memory := newPanel("resident memory, MB", 430, false, kind, func(p Point) float64 { return p.Resident })
	err = t.Execute(&text, map[string]any{"Panels": []panel{cpu, memory}, "Date": r.Date.Format("2006-01-02"), "CPUs": r.Machine.CPUs})
	if err == nil {
		err = os.WriteFile(path, []byte(text.String()), 0o644)
	}
	if err != nil {
		return fmt.Errorf("drawing %s: %w", path, err)
	}
	return nil
}

func newPanel(title string, left float64, log bool, points []Point, y func(Point) float64) panel {
	p := panel{Title: title, Left: left, Width: 230, Top: 50, Height: 250, log: log}
	p.least, p.most = math.Inf(1), math.Inf(-1)
	low, high := math.Inf(1), math.Inf(-1)
	for _, point := range points {
		x := p.scaled(float64(point.N))
		p.least, p.most = min(p.least, x), max(p.most, x)
		low, high = min(low, y(point)), max(high, y(point))
	}
	if !log {
		p.least = 0
	}
	p.most = max(p.most, p.least+0.1)
	p.across(points)
	p.up(low, high)
	p.draw(points, y)
	return p
}

// scaled is a number as the axes have it.
func (p *panel) scaled(v float64) float64 {
	if p.log {
		return math.Log10(max(v, 1e-3))
	}
	return v
}

func (p *panel) x(n int) float64 {
	return p.Left + p.Width*(p.scaled(float64(n))-p.least)/(p.most-p.least)
}

func (p *panel) y(v float64) float64 {
	return p.Top + p.Height*(1-(p.scaled(v)-p.lowest)/p.scale)
}

func (p *panel) across(points []Point) {
	for _, point := range points {
		t := tick{p.x(point.N), fmt.Sprint(point.N)}
		crowded := func(other tick) bool { return math.Abs(other.At-t.At) < 30 }
		if !slices.ContainsFunc(p.Across, crowded) {
			p.Across = append(p.Across, t)
		}
	}
}

// up chooses steps of the vertical axis: powers of ten, or round numbers from 0.
func (p *panel) up(low, high float64) {
	if p.log {
		p.lowest = math.Floor(math.Log10(max(low, 1e-3)))
		p.scale = max(math.Ceil(math.Log10(max(high, 1e-3)))-p.lowest, 1)
		for e := p.lowest; e <= p.lowest+p.scale; e++ {
			p.Up = append(p.Up, tick{p.y(math.Pow(10, e)), short(math.Pow(10, e))})
		}
		return
	}
	step := math.Pow(10, math.Floor(math.Log10(max(high, 1))))
	for high/step < 3 {
		step /= 2
	}
	p.scale = step * math.Ceil(high/step)
	for v := 0.0; v <= p.scale; v += step {
		p.Up = append(p.Up, tick{p.y(v), short(v)})
	}
}

// draw makes one curve of each interval and kind.
func (p *panel) draw(points []Point, y func(Point) float64) {
	var names []string
	of := map[string][]Point{}
	for _, point := range points {
		name := fmt.Sprintf("%s, %gs", strings.ToUpper(point.Kind), point.Interval)
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], point)
	}
	for _, name := range names {
		c := curve{Name: name, Class: class(of[name][0], points)}
		for j, point := range slices.SortedFunc(slices.Values(of[name]), func(a, b Point) int { return cmp.Compare(a.N, b.N) }) {
			at := dot{p.x(point.N), p.y(y(point))}
			c.Path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(j, 1)], at.X, at.Y)
			c.Points = append(c.Points, at)
			c.EndX, c.EndY = at.X+8, at.Y+4
		}
		p.Curves = append(p.Curves, c)
	}
	p.separate()
}

// class gives a kind its colour and an interval its line.
func class(p Point, all []Point) string {
	first := all[0]
	return map[bool]string{true: "a", false: "b"}[p.Kind == first.Kind] + " " + map[bool]string{true: "whole", false: "dashed"}[p.Interval == first.Interval]
}

// separate keeps the names at the ends of curves from lying upon each other.
func (p *panel) separate() {
	const apart = 13
	order := make([]*curve, len(p.Curves))
	for i := range p.Curves {
		order[i] = &p.Curves[i]
	}
	slices.SortFunc(order, func(a, b *curve) int { return cmp.Compare(b.EndY, a.EndY) })
	for i := 1; i < len(order); i++ {
		order[i].EndY = min(order[i].EndY, order[i-1].EndY-apart)
	}
}
