package losslesstest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/wspulse/server/internal/lossless"
)

const slices = 120 // of the time

// A timeline is when messages have come.
type timeline struct {
	start time.Time
	mu    sync.Mutex
	times []time.Duration
}

func (l *timeline) note(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, at.Sub(l.start))
}

// picture draws the messages over time, with the faults below them.
func (p *proof) picture() []byte {
	const width, height, left, top, plot = 860, 340, 190, 60, 150
	end := p.timeline.times[len(p.timeline.times)-1]
	var counts [slices]int
	most := 1
	for _, at := range p.timeline.times {
		i := min(slices-1, int(at*slices/(end+1)))
		counts[i]++
		most = max(most, counts[i])
	}
	x := func(at time.Duration) float64 { return left + float64(at)/float64(end)*(width-left-20) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui,sans-serif" font-size="12" fill="#222" role="img">`+"\n",
		width, height, width, height)
	v1, plain := p.balance(false), p.balance(true)
	fmt.Fprintf(&b, `<title>Messages received over time, and the faults</title><rect width="%d" height="%d" rx="6" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="16" y="24" font-size="15" font-weight="600">%d messages through %d faults: %d lost, %d twice</text>`+"\n",
		v1.sent, p.faults.Total(), v1.lost, v1.doubled)
	fmt.Fprintf(&b, `<text x="16" y="42" fill="#666">messages a second, all clients, both ways; four plain ones beside them lost %d of %d, and got %d twice</text>`+"\n",
		plain.lost, plain.sent, plain.doubled)
	perSecond := func(n int) float64 { return float64(n) * slices / end.Seconds() }
	for _, share := range []float64{0, 0.5, 1} {
		y := top + plot*(1-share)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.0f" y2="%.0f" stroke="#e4e4e4"/><text x="%d" y="%.0f" text-anchor="end" fill="#666">%.0f</text>`+"\n",
			left, width-20, y, y, left-6, y+4, share*perSecond(most))
	}
	fmt.Fprintf(&b, `<polyline fill="none" stroke="#d6336c" stroke-width="1.5" points="`)
	for i, n := range counts {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(end*time.Duration(2*i+1)/(2*slices)), top+plot*(1-float64(n)/float64(most)))
	}
	fmt.Fprint(&b, "\"/>\n")
	for kind, name := range lossless.FaultNames {
		y := top + plot + 18 + 14*kind
		fmt.Fprintf(&b, `<g stroke="#495057" stroke-width="1"><path d="`)
		for _, m := range p.faults.Marks() {
			if m.Kind == lossless.Fault(kind) {
				fmt.Fprintf(&b, "M%.1f %dv10", x(min(end, m.At.Sub(p.timeline.start))), y)
			}
		}
		fmt.Fprintf(&b, `"/></g><text x="%d" y="%d" text-anchor="end" font-size="11">%s</text>`+"\n", left-6, y+9, name)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#666">%.0f s</text></svg>`+"\n", width-20, height-6, end.Seconds())
	return []byte(b.String())
}
