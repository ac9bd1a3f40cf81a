package report

import (
	"fmt"
	"strings"
)

// A Timeline is a plot of panels, one above the other, over one axis of seconds.
type Timeline struct {
	Title  string
	Marks  []Mark
	Panels []Panel // each has at least one series, and each series at least one point
}

// A Mark is a moment with a name, such as the beginning of a phase.
type Mark struct {
	At    float64 // s
	Label string
}

// A Panel has a vertical axis of its own, which begins at 0.
type Panel struct {
	Title  string
	Series []Series // the first stands out
}

// Series is a line.
type Series struct {
	Label  string
	Points []Point
}

// A Point is a value at a time.
type Point struct {
	X float64 // s
	Y float64
}

// The measures of a timeline.
const (
	panelTop    = 44 // of the title and the names of the marks
	panelHeight = 130
	panelGap    = 34
	plotLeft    = 64
	plotRight   = width - 100
)

// SVG draws the timeline.
func (t *Timeline) SVG() []byte {
	end := t.end()
	atX := func(s float64) float64 { return plotLeft + s/end*(plotRight-plotLeft) }
	bottom := panelTop + len(t.Panels)*(panelHeight+panelGap)
	var b strings.Builder
	begin(&b, bottom+30, t.Title)
	for _, m := range t.Marks {
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="%s" stroke-dasharray="4 4"/><text x="%.1f" y="%d" font-size="11">%s</text>`+"\n",
			atX(m.At), panelTop, bottom, ink, atX(m.At)+4, panelTop+4, m.Label)
	}
	for i, p := range t.Panels {
		p.draw(&b, panelTop+i*(panelHeight+panelGap)+panelGap, atX)
	}
	step := ticks(end)
	for s := 0.0; s <= end; s += step {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" font-size="11">%g s</text>`+"\n", atX(s), bottom+18, s)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// end returns the time of the last point.
func (t *Timeline) end() (end float64) {
	for _, p := range t.Panels {
		for _, s := range p.Series {
			end = max(end, s.Points[len(s.Points)-1].X)
		}
	}
	return end
}

func (p *Panel) draw(b *strings.Builder, top int, atX func(float64) float64) {
	const height = panelHeight
	highest := 1e-3 // of a panel in which all is 0
	lines := make([]line, len(p.Series))
	for i, s := range p.Series {
		lines[i] = line{label: s.Label, ours: i == 0}
		for _, at := range s.Points {
			highest = max(highest, at.Y)
			lines[i].points = append(lines[i].points, point{at.X, at.Y})
		}
	}
	step := ticks(highest)
	atY := func(v float64) float64 { return float64(top+height) - v/(5*step)*height }
	fmt.Fprintf(b, `<text x="16" y="%d" font-size="12" font-weight="600">%s</text>`+"\n", top-10, p.Title)
	grid(b, plotLeft, plotRight, step, atY)
	heights := spread(lines, atY)
	for i, l := range lines {
		l.draw(b, dashes[i%len(dashes)], atX, atY)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" font-size="12"%s>%s</text>`+"\n", plotRight+8, heights[i]+4, weight(l.ours), l.label)
	}
}
