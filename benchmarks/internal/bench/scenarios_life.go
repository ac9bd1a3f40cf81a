package bench

import (
	"fmt"
	"time"

	"github.com/wspulse/server/benchmarks/internal/control"
)

// The scenarios about connections rather than messages.

func idle(plan Plan) Scenario {
	return Scenario{
		Name:  "idle",
		About: fmt.Sprintf("%d connections that do nothing, after a garbage collection, less what the process had before: freshly opened, and after ten broadcasts.", plan.Idle),
		Columns: []Column{
			{Key: "rss", Title: "RSS, KiB each"},
			{Key: "standing", Title: "RSS as it stands, KiB each", About: fmt.Sprintf("As it stands is %v after the last connect, before a collection is "+
				"forced and free memory given back.", plan.Rest)},
			{Key: "heap", Title: "heap, KiB each"}, {Key: "stacks", Title: "stacks, KiB each"},
			{Key: "goroutines", Title: "goroutines each", Info: true}, {Key: "used", Title: "RSS after ten broadcasts, KiB each"},
		},
		Cases: []Case{{"after a collection", func(r runner) (Figures, error) {
			return r.with(setup{conns: plan.Idle, idle: true}, (*pair).idle)
		}}},
	}
}

func (p *pair) idle() (Figures, error) {
	before, err := p.stats(true)
	if err != nil {
		return nil, err
	}
	if _, err := p.connect(); err != nil {
		return nil, err
	}
	time.Sleep(p.plan.Rest)
	standing, err := p.stats(false)
	if err != nil {
		return nil, err
	}
	open, err := p.stats(true)
	if err != nil {
		return nil, err
	}
	if _, err := p.publish(control.Publish{Rate: idleRate, Duration: idleMessages * time.Second / idleRate}); err != nil {
		return nil, err
	}
	used, err := p.stats(true)
	if err != nil {
		return nil, err
	}
	n := float64(p.conns)
	resident := func(s control.Stats) float64 { return float64(s.RSS-before.RSS) / n / 1024 }
	f := Figures{"rss": resident(open), "used": resident(used)}
	if standing.RSS > 0 { // the server of an older baseline does not tell
		f["standing"] = resident(standing)
	}
	if open.Goroutines > 0 {
		f["heap"] = float64(open.Heap-before.Heap) / n / 1024
		f["stacks"] = float64(open.Stacks-before.Stacks) / n / 1024
		f["goroutines"] = float64(open.Goroutines-before.Goroutines) / n
	}
	return f, nil
}

const (
	idleMessages = 10
	idleRate     = 10 // a second: the slowest needs some 50 ms for one
)

func heartbeat(plan Plan) Scenario {
	return Scenario{
		Name: "heartbeat",
		About: fmt.Sprintf("%d connections that only answer pings, which come every %v, so that there is enough to measure. A heartbeat is all that the "+
			"server spends while each connection gets two pings, over their number. A heartbeat over %v is what a connection costs a second at the usual pings.",
			plan.Idle, plan.Beat, plan.Ping),
		Columns: []Column{
			{Key: "cpu", Title: fmt.Sprintf("server CPU at %v pings, µs a second each", plan.Ping)},
			{Key: "beat", Title: "µs a heartbeat", Info: true},
		},
		Cases: []Case{{"pings only", func(r runner) (Figures, error) {
			return r.connected(setup{conns: plan.Idle, ping: plan.Beat}, (*pair).heartbeat)
		}}},
	}
}

func (p *pair) heartbeat() (Figures, error) {
	if _, err := p.stats(true); err != nil { // so that what is left of the connects costs nothing later
		return nil, err
	}
	var (
		spent cost
		beats control.Heartbeats
	)
	for _, each := range []int{1, 2} { // the first is the warm-up
		if err := p.load.Call(callTimeout, "reset", control.Reset{}, nil); err != nil {
			return nil, err
		}
		var err error
		spent, err = p.spent(func() error {
			return p.load.Call(callTimeout, "heartbeats", control.Heartbeats{Count: int64(each * p.conns)}, &beats)
		})
		if err != nil {
			return nil, err
		}
	}
	beat := each(spent.cpu, beats.Count)
	return Figures{"beat": beat, "cpu": beat / p.plan.Ping.Seconds()}, nil
}

func storm(plan Plan) Scenario {
	return Scenario{
		Name:  "storm",
		About: fmt.Sprintf("%d clients connect at once. Time until the last one is up, TCP included; a client alone waits as long as its p50 says.", plan.Storm),
		Columns: []Column{
			{Key: "time", Title: "all up, ms"}, {Key: "cpu", Title: "server CPU, µs each"}, {Key: "p50", Title: "p50, ms", Info: true},
		},
		Cases: []Case{{"at once", func(r runner) (Figures, error) {
			return r.with(setup{conns: plan.Storm, burst: true}, (*pair).storm)
		}}},
	}
}

func (p *pair) storm() (Figures, error) {
	var up control.Connected
	spent, err := p.spent(func() (err error) {
		up, err = p.connect()
		return err
	})
	return Figures{"time": milliseconds(up.Elapsed), "cpu": each(spent.cpu, int64(p.conns)), "p50": milliseconds(up.P50)}, err
}

func slow(plan Plan) Scenario {
	const sendBuffer = 16 << 10 // bytes, so that those that do not read are felt soon
	rate := plan.PacedRates[len(plan.PacedRates)-1]
	return Scenario{
		Name: "slow",
		About: fmt.Sprintf("A room of %d, of which %d do not read and whose buffers are full, beside the same room without them. "+
			"Saturated for the rate, paced at %gk/s for the latency; both of the members that read.", plan.SlowOf, plan.SlowConns, rate/1000),
		Columns: []Column{
			{Key: "kept", Title: "rate, of that without", More: true},
			{Key: "rate", Title: "thousand a second", More: true}, {Key: "clean", Title: "the same without", Info: true},
			p99Column, {Key: "cleanp99", Title: "the same without", Info: true},
		},
		Cases: []Case{{fmt.Sprintf("%d of %d", plan.SlowConns, plan.SlowOf), func(r runner) (Figures, error) {
			without, err := r.connected(setup{conns: plan.SlowOf - plan.SlowConns, sendBuffer: sendBuffer}, (*pair).slow)
			if err != nil {
				return nil, err
			}
			with, err := r.connected(setup{conns: plan.SlowOf, mute: plan.SlowConns, sendBuffer: sendBuffer}, (*pair).slow)
			if err != nil {
				return nil, err
			}
			return Figures{
				"kept": with["rate"] / without["rate"],
				"rate": with["rate"], "clean": without["rate"],
				"p99": with["p99"], "cleanp99": without["p99"],
			}, nil
		}}},
	}
}

// slow fills the buffers of those that do not read, and then takes the rate and the latency of the others.
func (p *pair) slow() (Figures, error) {
	fill := p.closed(0)
	fill.Count = p.plan.SlowFill
	saturated, err := p.measure(fill, p.closed(p.plan.Duration))
	if err != nil {
		return nil, err
	}
	paced, err := p.publish(p.paced(p.plan.Duration, p.plan.PacedRates[len(p.plan.PacedRates)-1]))
	return Figures{"rate": saturated["rate"], "p99": milliseconds(paced.P99)}, err
}

func resume(plan Plan) Scenario {
	return Scenario{
		Name:    "resume",
		About:   fmt.Sprintf("%d sessions lose their connection at once and come back at once, with %d messages each waiting for them. Time from the first connect to the last message.", plan.ResumeConns, plan.ResumeFrames),
		Columns: []Column{{Key: "time", Title: "last message, ms"}, {Key: "cpu", Title: "server CPU, µs a session"}},
		Cases: []Case{{"all at once", func(r runner) (Figures, error) {
			return r.connected(setup{conns: plan.ResumeConns, resume: time.Minute, burst: true}, (*pair).resume)
		}}},
	}
}

func (p *pair) resume() (Figures, error) {
	if err := p.load.Call(callTimeout, "drop", struct{}{}, nil); err != nil {
		return nil, err
	}
	if err := p.wait("left", p.conns); err != nil {
		return nil, err
	}
	var published control.Published
	if err := p.server.Call(callTimeout, "publish", control.Publish{Size: p.size, Count: p.plan.ResumeFrames}, &published); err != nil {
		return nil, err
	}
	var (
		up  control.Connected
		got control.Delivered
	)
	spent, err := p.spent(func() error {
		if err := p.load.Call(callTimeout, "connect", struct{}{}, &up); err != nil {
			return err
		}
		return p.load.Call(callTimeout, "await", control.Await{Deliveries: p.expected(published.Counts)}, &got)
	})
	if err != nil {
		return nil, err
	}
	if got.Lost > 0 || got.Misordered > 0 {
		return nil, fmt.Errorf("%d messages lost, %d out of order", got.Lost, got.Misordered)
	}
	return Figures{"time": milliseconds(time.Duration(got.Last - up.Start)), "cpu": each(spent.cpu, int64(p.conns))}, nil
}
