package losslesstest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	wspulse "github.com/wspulse/server"
)

// metrics counts what the server says of wspulse.v1.
type metrics struct {
	wspulse.NoopCollector
	resumes, refused, takeovers, replayed, suppressed, gaps, mismatches, drops atomic.Int64
	overBudget                                                                 atomic.Int64

	mu      sync.Mutex
	reasons map[string]int // of claims that did not resume
}

func (m *metrics) ResumeClaimed(_, id string, resumed bool, reason string) {
	if resumed {
		m.resumes.Add(1)
		return
	}
	m.refused.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reasons == nil {
		m.reasons = make(map[string]int)
	}
	m.reasons[id+" "+reason]++
}
func (m *metrics) TransportReplaced(_, _ string)           { m.takeovers.Add(1) }
func (m *metrics) MessagesReplayed(_, _ string, n int)     { m.replayed.Add(int64(n)) }
func (m *metrics) DuplicatesSuppressed(_, _ string, n int) { m.suppressed.Add(int64(n)) }
func (m *metrics) GapTold(_, _ string, n int)              { m.gaps.Add(int64(n)) }
func (m *metrics) CountMismatch(_, _ string)               { m.mismatches.Add(1) }
func (m *metrics) FrameDropped(roomID, _ string) {
	if roomID == "session" {
		m.drops.Add(1)
	}
}
func (m *metrics) LimitReached(l wspulse.Limit, _, _ string) {
	if l == wspulse.LimitMemoryBudget {
		m.overBudget.Add(1)
	}
}

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
			b.lost += c.lost + max(0, a.messages+1-c.next) // and those at the end
			b.doubled += c.doubled
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
	fmt.Fprintf(&out, "\n%d faults in %v:", p.faults.total(), took.Round(time.Second))
	for kind, n := range p.faults.count {
		fmt.Fprintf(&out, " %d × %s;", n, faultNames[kind])
	}
	m := &p.metrics
	fmt.Fprintf(&out, "\nresumes %d, takeovers %d, messages sent again %d, duplicates suppressed %d, gaps %d, count mismatches %d; "+
		"%d times over the memory budget elsewhere\n", m.resumes.Load(), m.takeovers.Load(), m.replayed.Load(), m.suppressed.Load(),
		m.gaps.Load(), m.mismatches.Load(), m.overBudget.Load())
	return out.String()
}

// judge fails the test where something was lost or doubled, or nothing has been tried.
func (p *proof) judge() {
	b, m := p.balance(false), &p.metrics
	if b.lost != 0 || b.doubled != 0 || b.got != b.sent {
		p.t.Errorf("%d of %d messages received, %d lost, %d received twice", b.got, b.sent, b.lost, b.doubled)
	}
	if m.mismatches.Load() != 0 || m.gaps.Load() != 0 || m.drops.Load() != 0 {
		p.t.Errorf("%d count mismatches, %d told as gaps, %d dropped", m.mismatches.Load(), m.gaps.Load(), m.drops.Load())
	}
	if m.refused.Load() > 0 {
		p.t.Errorf("claims refused: %v", m.reasons)
	}
	if p.faults.total() < *flagFaults || m.resumes.Load() == 0 || m.takeovers.Load() == 0 || m.replayed.Load() == 0 ||
		m.overBudget.Load() == 0 {
		p.t.Errorf("not everything was tried: wanted %d faults, resumes, takeovers, messages sent again, and the memory budget",
			*flagFaults)
	}
}
