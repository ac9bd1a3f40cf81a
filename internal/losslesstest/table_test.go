package losslesstest

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wspulse/server/internal/lossless"
)

// A balance is what some accounts have sent and got, both ways.
type balance struct {
	sent, got, lost, doubled int
	silence                  time.Duration
}

func (p *proof) balance(plain bool) (b balance) {
	for _, a := range p.accounts {
		if a.plain != plain {
			continue
		}
		b.sent += 2 * a.messages
		for _, c := range []*counter{&a.up, &a.down} {
			c.mu.Lock()
			b.got += c.got
			b.lost += c.Lost + max(0, a.messages+1-c.Next) // and those at the end
			b.doubled += c.Doubled
			b.silence = max(b.silence, c.silence)
			c.mu.Unlock()
		}
	}
	return b
}

// table is what a reader is to see.
func (p *proof) table(took time.Duration) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, cell := range cells {
			fmt.Fprint(w, cell, "\t")
		}
		fmt.Fprintln(w)
	}
	v1, plain := p.balance(false), p.balance(true)
	row("", "wspulse.v1", "plain")
	row("sessions", sessions, len(p.accounts)-sessions)
	row("messages sent, both ways", v1.sent, plain.sent)
	row("received", v1.got, plain.got)
	row("lost", v1.lost, plain.lost)
	row("received twice", v1.doubled, plain.doubled)
	row("longest silence", v1.silence.Round(time.Millisecond), plain.silence.Round(time.Millisecond))
	w.Flush()
	fmt.Fprintf(&out, "\n%d faults in %v:", p.faults.Total(), took.Round(time.Second))
	for kind, n := range p.faults.Count() {
		fmt.Fprintf(&out, " %d × %s;", n, lossless.FaultNames[kind])
	}
	m := &p.metrics
	fmt.Fprintf(&out, "\nresumes %d, takeovers %d, messages sent again %d, duplicates suppressed %d, gaps %d, count mismatches %d; "+
		"%d times over the memory budget elsewhere\n", m.Resumes.Load(), m.Takeovers.Load(), m.Replayed.Load(), m.Suppressed.Load(),
		m.Gaps.Load(), m.Mismatches.Load(), m.OverBudget.Load())
	return out.String()
}

// judge fails the test where something was lost or doubled, or nothing has been tried.
func (p *proof) judge() {
	b, m := p.balance(false), &p.metrics
	if b.lost != 0 || b.doubled != 0 || b.got != b.sent {
		p.t.Errorf("%d of %d messages received, %d lost, %d received twice", b.got, b.sent, b.lost, b.doubled)
	}
	if m.Mismatches.Load() != 0 || m.Gaps.Load() != 0 || m.Drops.Load() != 0 {
		p.t.Errorf("%d count mismatches, %d told as gaps, %d dropped", m.Mismatches.Load(), m.Gaps.Load(), m.Drops.Load())
	}
	if m.Refused.Load() > 0 {
		p.t.Errorf("claims refused: %v", m.Reasons())
	}
	if p.faults.Total() < *flagFaults || m.Resumes.Load() == 0 || m.Takeovers.Load() == 0 || m.Replayed.Load() == 0 ||
		m.OverBudget.Load() == 0 {
		p.t.Errorf("not everything was tried: wanted %d faults, resumes, takeovers, messages sent again, and the memory budget",
			*flagFaults)
	}
}
