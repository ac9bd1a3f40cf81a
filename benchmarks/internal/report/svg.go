package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The look of all plots.
const (
	width      = 760
	labelWidth = 110
	valueWidth = 70
	topMargin  = 46
	accent     = "#d6336c"
	ink        = "#222"
	faint      = "#e4e4e4"
)

// shades are for the series of a bar chart: ours, the others.
var shades = [][2]string{{"#d6336c", "#495057"}, {"#e8799f", "#868e96"}, {"#f3b4c9", "#bdc3c9"}}

// dashes tell lines apart without colour.
var dashes = []string{"", "6 3", "2 3", "8 3 2 3", "1 3", "10 4", "4 4", "12 3 3 3"}

func begin(b *strings.Builder, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui,sans-serif" font-size="13" fill="%s" role="img">`+"\n",
		width, height, width, height, ink)
	fmt.Fprintf(b, `<title>%s</title><rect width="%d" height="%d" rx="6" fill="#fff"/>`+"\n", title, width, height)
	fmt.Fprintf(b, `<text x="16" y="26" font-size="15" font-weight="600">%s</text>`+"\n", title)
}

// A barChart has horizontal bars: a group for each peer, and in it one for each series, with its range.
type barChart struct {
	title  string
	series []string
	groups []barGroup
}

type barGroup struct {
	label string
	ours  bool
	bars  []sample // one for each series; some may be empty
}

func (c *barChart) empty() bool     { return len(c.groups) == 0 }
func (c *barChart) heading() string { return c.title }

func (c *barChart) svg() []byte {
	const thick, gap = 14, 12
	top := topMargin
	if len(c.series) > 1 {
		top += 22
	}
	height := top + len(c.groups)*(len(c.series)*thick+gap) + 6
	var b strings.Builder
	begin(&b, height, c.title)
	c.legend(&b)
	scale := float64(width-labelWidth-valueWidth) / c.limit()
	y := top
	for _, g := range c.groups {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end"%s>%s</text>`+"\n",
			labelWidth-8, y+len(c.series)*thick/2+4, weight(g.ours), g.label)
		for i, s := range g.bars {
			if len(s) > 0 {
				bar(&b, y, thick-2, scale, s, shade(i, g.ours))
			} else {
				fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="11">n/a</text>`+"\n", labelWidth+4, y+thick-3)
			}
			y += thick
		}
		y += gap
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// bar draws the median as a bar, the range as a line and the median as a number.
func bar(b *strings.Builder, y, thick int, scale float64, s sample, fill string) {
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", labelWidth, y, s.median()*scale, thick, fill)
	middle := float64(y) + float64(thick)/2
	fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" stroke="%s"/>`+"\n", labelWidth+s.min()*scale, middle, labelWidth+s.max()*scale, ink)
	fmt.Fprintf(b, `<text x="%.1f" y="%d" font-size="11">%s</text>`+"\n", labelWidth+s.max()*scale+5, y+thick-1, number(s.median()))
}

func (c *barChart) legend(b *strings.Builder) {
	if len(c.series) < 2 {
		return
	}
	x := labelWidth
	for i, name := range c.series {
		fmt.Fprintf(b, `<rect x="%d" y="38" width="12" height="12" rx="2" fill="%s"/><text x="%d" y="48" font-size="12">%s</text>`+"\n",
			x, shade(i, false), x+18, name)
		x += 40 + 7*len(name)
	}
}

func (c *barChart) limit() (limit float64) {
	for _, g := range c.groups {
		for _, s := range g.bars {
			if len(s) > 0 {
				limit = max(limit, s.max())
			}
		}
	}
	return max(limit, math.SmallestNonzeroFloat32)
}

func shade(series int, ours bool) string {
	pair := shades[series%len(shades)]
	if ours {
		return pair[0]
	}
	return pair[1]
}

func weight(ours bool) string {
	if ours {
		return ` font-weight="700" fill="` + accent + `"`
	}
	return ""
}

// A lineChart has a line for each peer over a logarithmic axis.
type lineChart struct {
	title, axis string
	lines       []line
}

type line struct {
	label  string
	ours   bool
	points []point
}

type point struct{ x, y float64 }

func (c *lineChart) empty() bool     { return len(c.lines) == 0 }
func (c *lineChart) heading() string { return c.title }

func (c *lineChart) svg() []byte {
	const height, left, right, bottom = 380, 56, 120, 46
	var points []point
	for _, l := range c.lines {
		points = append(points, l.points...)
	}
	byX := func(a, b point) int { return int(math.Copysign(1, a.x-b.x)) }
	lowX, highX := math.Log10(slices.MinFunc(points, byX).x), math.Log10(slices.MaxFunc(points, byX).x)
	step := ticks(slices.MaxFunc(points, func(a, b point) int { return int(math.Copysign(1, a.y-b.y)) }).y)
	limit := step * 5
	atX := func(v float64) float64 {
		return left + (math.Log10(v)-lowX)/max(highX-lowX, 0.1)*(width-left-right)
	}
	atY := func(v float64) float64 { return height - bottom - v/limit*(height-bottom-topMargin) }

	var b strings.Builder
	begin(&b, height, c.title)
	grid(&b, left, width-right, step, atY)
	for _, p := range c.lines[0].points {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" font-size="11">%.0f</text>`+"\n", atX(p.x), height-bottom+18, p.x)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" font-size="12">%s</text>`+"\n", (left+width-right)/2, height-10, c.axis)
	labels := spread(c.lines, atY)
	for i, l := range c.lines {
		l.draw(&b, dashes[i%len(dashes)], atX, atY)
		for _, p := range l.points {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", atX(p.x), atY(p.y), l.stroke())
		}
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" font-size="12"%s>%s</text>`+"\n", width-right+10, labels[i]+4, weight(l.ours), l.label)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// grid draws five steps of the vertical axis.
func grid(b *strings.Builder, left, right int, step float64, atY func(float64) float64) {
	for i := range 6 {
		v := step * float64(i)
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="%s"/><text x="%d" y="%.1f" text-anchor="end" font-size="11">%.6g</text>`+"\n",
			left, atY(v), right, faint, left-6, atY(v)+4, v)
	}
}

func (l *line) stroke() string {
	if l.ours {
		return accent
	}
	return "#868e96"
}

func (l *line) draw(b *strings.Builder, dash string, atX, atY func(float64) float64) {
	thickness := 1.5
	if l.ours {
		thickness = 3
	}
	var path strings.Builder
	for i, p := range l.points {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", command, atX(p.x), atY(p.y))
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="%g" stroke-dasharray="%s"/>`+"\n", path.String(), l.stroke(), thickness, dash)
}

// spread returns the heights of the labels beside the last points, moved apart where they would overlap.
func spread(lines []line, atY func(float64) float64) []float64 {
	const apart = 15
	order := make([]int, len(lines))
	heights := make([]float64, len(lines))
	for i, l := range lines {
		order[i] = i
		heights[i] = atY(l.points[len(l.points)-1].y)
	}
	slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, heights[b]-heights[a])) })
	for i, at := range order[1:] {
		heights[at] = min(heights[at], heights[order[i]]-apart)
	}
	return heights
}

// ticks returns a round step of which five reach the limit.
func ticks(limit float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(limit/5)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if step*f*5 >= limit {
			return step * f
		}
	}
	return step * 10
}
