package bench

import "fmt"

const (
	ladderInTime = 0.95 // of the deliveries of a step, which have to be there when it is over
	ladderTries  = 2    // at a step, each with a server of its own
)

func ladder(plan Plan) Scenario {
	first, top := plan.Ladder[0], plan.Ladder[len(plan.Ladder)-1]
	return Scenario{
		Name: "ladder",
		About: fmt.Sprintf("The highest rate without a loss: %d connections in one room, messages of %d bytes, a ladder of %d steps of %v from %g to %g broadcasts a second. "+
			"A step holds when every member gets every message, and at least %.0f %% of the deliveries that the step should make are there when its time is over: "+
			"servers that drop nothing slow their publisher down, or let their queues grow. A message that is dropped, or that a closed connection misses, is lost; only here is that no error. "+
			"A step that does not hold is tried once more with a new server, since the machine may have been busy; a second failure ends the ladder. "+
			"0 is a server that did not hold the first step.",
			plan.Fanout, plan.Message, len(plan.Ladder), plan.Step, first, top, 100*ladderInTime),
		Columns: []Column{
			{Key: "rate", Title: "thousand broadcasts a second", More: true},
			{Key: "cpu", Title: "server CPU then, s per million deliveries", Info: true}, {Key: "p99", Title: "p99 then, ms", Info: true},
			{Key: "lost", Title: "lost at the next step, %", Info: true}, {Key: "intime", Title: "in time at the next step, %", Info: true},
		},
		Cases: []Case{{"without a loss", runner.ladder}},
	}
}

// ladder goes up step by step, with the same server as long as they hold.
func (r runner) ladder() (Figures, error) {
	steps := r.plan.Ladder
	held, failures := 0, 0
	f := Figures{"rate": 0}
	for held < len(steps) && failures < ladderTries {
		_, err := r.connected(setup{conns: r.plan.Fanout, sample: saturatedSample, lossy: true}, func(p *pair) (Figures, error) {
			if _, err := p.publishLossy(p.paced(p.plan.Warmup, p.deliveries(steps[max(held-1, 0)]))); err != nil {
				return nil, fmt.Errorf("warm-up: %w", err)
			}
			for ; held < len(steps); held++ {
				b, err := p.publishLossy(p.paced(p.plan.Step, p.deliveries(steps[held])))
				if err != nil {
					return nil, fmt.Errorf("%g broadcasts a second: %w", steps[held], err)
				}
				expected := float64(b.expected)
				if b.Lost > 0 || float64(b.InTime) < ladderInTime*expected {
					failures++
					f["lost"], f["intime"] = 100*float64(b.Lost)/expected, 100*float64(b.InTime)/expected
					return nil, nil
				}
				failures = 0
				f = Figures{"rate": steps[held] / 1000, "cpu": each(b.cpu, b.Deliveries), "p99": milliseconds(b.P99)}
			}
			return nil, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// deliveries returns how many of them so many broadcasts make.
func (p *pair) deliveries(broadcasts float64) float64 { return broadcasts * float64(p.conns) }
