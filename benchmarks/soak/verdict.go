package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	wspulse "github.com/wspulse/server"
)

const (
	slack     = 10      // percent, of memory and goroutines
	heapSlack = 1 << 20 // bytes, where that is more
)

// A check is something that had to hold.
type check struct {
	name     string
	ok       bool
	detail   string
	unjudged bool // whether it held can't be said
}

// report writes the verdict. The server is closed.
func (w *world) report(out io.Writer) error {
	w.printSums(out)
	failed := 0
	for _, c := range w.checks() {
		verdict := "PASS"
		switch {
		case c.unjudged:
			verdict = "NOT JUDGED"
		case !c.ok:
			verdict = "FAIL"
			failed++
		}
		fmt.Fprintf(out, "%s  %s: %s\n", verdict, c.name, c.detail)
	}
	if len(w.book.first) > 0 {
		fmt.Fprintf(out, "\nThe first of %d faults:\n  %s\n", w.book.faults, strings.Join(w.book.first, "\n  "))
	}
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

// printSums says what happened in all phases together.
func (w *world) printSums(out io.Writer) {
	b := w.book
	var ended, suffered []string
	for _, reason := range []wspulse.DisconnectReason{wspulse.DisconnectNormal, wspulse.DisconnectKick,
		wspulse.DisconnectGraceExpired, wspulse.DisconnectServerClose, wspulse.DisconnectDuplicate} {
		ended = append(ended, fmt.Sprintf("%s %d", reason, b.reasons[reason].Load()))
	}
	for i, a := range ailments {
		suffered = append(suffered, fmt.Sprintf("%s %d", a.name, w.ward.suffered[i].Load()))
	}
	fmt.Fprintf(out, "\n%d TCP connections, %d sessions (%s), %d resumes, %d pong timeouts\n",
		w.host.accepted.Load(), b.opened.Load(), strings.Join(ended, ", "), b.resumed.Load(), b.pongTimeouts.Load())
	fmt.Fprintf(out, "ailments: %s\n\n", strings.Join(suffered, ", "))
}

func (w *world) checks() []check {
	return []check{
		w.conserved(), w.inOrder(), w.healthyHeard(), w.sessionsEnded(), w.unhurt(),
		w.heap("heap after all have gone", w.left), w.heap("heap after Server.Close", w.closed),
		within("goroutines after all have gone", w.left.goroutines, w.bare.goroutines, w.bare.goroutines*slack/100),
		within("goroutines after Server.Close", w.closed.goroutines, w.bare.goroutines-hostGoroutines, 0),
		within("sockets after all have gone", w.left.sockets, w.bare.sockets, 0),
		within("sockets after Server.Close", w.closed.sockets, w.bare.sockets-hostSockets, 0),
		w.everythingTried(),
		{name: "nothing else", ok: w.book.faults == 0, detail: fmt.Sprintf("%d faults", w.book.faults)},
	}
}

// conserved: what was accepted has been delivered or dropped, all together: a broadcast is told of when all have been handed it,
// and some of them may have left by then.
func (w *world) conserved() check {
	taken, delivered, dropped := w.book.handed.Load(), w.book.sent.Load(), w.book.dropped.Load()
	for _, a := range w.book.accounts {
		taken += a.accepted.Load() + a.refused.Load()
	}
	var wrong []string
	if taken != delivered+dropped {
		wrong = append(wrong, fmt.Sprintf("%d more than that", taken-delivered-dropped))
	}
	return verdict("frames taken = delivered + dropped", wrong, "%d = %d + %d", taken, delivered, dropped)
}

// inOrder: frames come in order, and those that are missing in the middle were dropped. Numbers that come twice are faults.
func (w *world) inOrder() check {
	var received, gaps int64
	var wrong []string
	for id, a := range w.book.accounts {
		if a.gaps.Load() > a.dropped.Load() || a.received.Load() > a.sent.Load() {
			wrong = append(wrong, fmt.Sprintf("%s: %d delivered, %d heard, %d missing, %d dropped",
				id, a.sent.Load(), a.received.Load(), a.gaps.Load(), a.dropped.Load()))
		}
		received, gaps = received+a.received.Load(), gaps+a.gaps.Load()
	}
	return verdict("no gap without FrameDropped", wrong, "%d frames heard, %d missing in the middle", received, gaps)
}

// healthyHeard: healthy peers have heard everything.
func (w *world) healthyHeard() check {
	var received int64
	var wrong []string
	for id, a := range w.book.accounts {
		if a.sick {
			continue
		}
		if a.gaps.Load() > 0 || a.dropped.Load() > 0 || a.received.Load() != a.sent.Load() {
			wrong = append(wrong, fmt.Sprintf("%s: %d delivered, %d heard, %d missing, %d dropped",
				id, a.sent.Load(), a.received.Load(), a.gaps.Load(), a.dropped.Load()))
		}
		received += a.received.Load()
	}
	return verdict("healthy peers heard every frame", wrong, "%d", received)
}

// verdict is a check that nothing is wrong.
func verdict(name string, wrong []string, format string, args ...any) check {
	detail := fmt.Sprintf(format, args...)
	if len(wrong) > 0 {
		detail += fmt.Sprintf("; %d are wrong: %s", len(wrong), strings.Join(wrong[:min(len(wrong), 3)], "; "))
	}
	return check{name: name, ok: len(wrong) == 0, detail: detail}
}

func (w *world) sessionsEnded() check {
	b, h := w.book, w.host
	ok := b.opened.Load() == b.closed.Load() && b.opened.Load() == h.ended.Load() && b.resumed.Load() == h.restored.Load() &&
		b.roomsOpened.Load() == b.roomsClosed.Load() && h.suspended.Load() == 0
	return check{name: "sessions and rooms opened = closed", ok: ok, detail: fmt.Sprintf(
		"%d opened, %d closed, %d OnDisconnect; %d resumed, %d OnTransportRestore; %d rooms created, %d destroyed; %d suspended",
		b.opened.Load(), b.closed.Load(), h.ended.Load(), b.resumed.Load(), h.restored.Load(),
		b.roomsOpened.Load(), b.roomsClosed.Load(), h.suspended.Load())}
}

// unhurt: sick peers do not delay what healthy ones get. That is judged only where the machine had room, and if it had some
// in half of both phases.
func (w *world) unhurt() check {
	alone, among := w.baseline.ages.Quantile(0.99), w.faults.ages.Quantile(0.99)
	limit := max(2*alone, alone+w.plan.harm)
	c := check{name: "p99 of delivery to healthy peers", ok: among > 0 && among <= limit, detail: fmt.Sprintf(
		"%v beside sick ones, %v alone; at most %v", &w.faults, &w.baseline, round(limit))}
	if !w.baseline.judged() || !w.faults.judged() {
		c.unjudged = true
		c.detail = fmt.Sprintf("the machine had no room; %v beside sick ones, %v alone", &w.faults, &w.baseline)
	}
	c.detail += fmt.Sprintf(" (the machine: %s; alone: %s)", w.table.machine(faultsToo), w.table.machine(healthyAlone))
	return c
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func (w *world) heap(name string, u usage) check {
	return check{name: name, ok: u.heap <= w.start.heap+max(w.start.heap*slack/100, heapSlack),
		detail: fmt.Sprintf("%.2f MiB, %.2f at the start", mebibytes(u.heap), mebibytes(w.start.heap))}
}

func within(name string, got, want, slack int) check {
	return check{name: name, ok: got <= want+slack, detail: fmt.Sprintf("%d, expected %d", got, want)}
}

// everythingTried: a run in which nothing happened proves nothing.
func (w *world) everythingTried() check {
	b := w.book
	seen := map[string]int64{"resumes": b.resumed.Load(), "dropped frames": b.dropped.Load()}
	for _, reason := range []wspulse.DisconnectReason{wspulse.DisconnectKick, wspulse.DisconnectGraceExpired, wspulse.DisconnectDuplicate} {
		seen["sessions ended as "+string(reason)] = b.reasons[reason].Load()
	}
	if w.plan.length > 10*w.plan.pong {
		seen["pong timeouts"] = b.pongTimeouts.Load()
	}
	for i, a := range ailments {
		seen[a.name] = w.ward.suffered[i].Load()
	}
	var missing []string
	for what, n := range seen {
		if n == 0 {
			missing = append(missing, what)
		}
	}
	return verdict("everything was tried", missing, "%d things", len(seen))
}
