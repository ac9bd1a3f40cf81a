package bench

import (
	"fmt"
	"time"

	"github.com/wspulse/server/benchmarks/internal/control"
)

// Figures are the numbers of one measurement, by the keys of the scenario's columns.
type Figures map[string]float64

// A Column is one kind of figure.
type Column struct {
	Key, Title string
	More       bool   // more is better
	Info       bool   // no ratio and no judgement
	About      string // what it is, where the title and the scenario don't say so; shown where there are figures
}

// A Scenario is one kind of load.
type Scenario struct {
	Name, About string
	Columns     []Column
	Cases       []Case
}

// A Case is one size of it.
type Case struct {
	Name    string
	Measure func(r runner) (Figures, error)
}

// A runner starts pairs for one peer.
type runner struct {
	plan    Plan
	peer    string
	program string   // that the server is part of; this one if empty
	command []string // of a server that is no part of this program, if it is such
	profile string   // path of the server's profiles without their ending, if any
}

func (r runner) with(s setup, measure func(*pair) (Figures, error)) (f Figures, err error) {
	p, err := startPair(r, s)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := p.stop(); err == nil {
			err = e
		}
	}()
	return measure(p)
}

// connected is with, with all connections up.
func (r runner) connected(s setup, measure func(*pair) (Figures, error)) (Figures, error) {
	return r.with(s, func(p *pair) (Figures, error) {
		if _, err := p.connect(); err != nil {
			return nil, err
		}
		return measure(p)
	})
}

var (
	cpuColumn  = Column{Key: "cpu", Title: "server CPU, s per million"}
	rateColumn = Column{Key: "rate", Title: "thousand a second", More: true}
	p50Column  = Column{Key: "p50", Title: "p50, ms"}
	p99Column  = Column{Key: "p99", Title: "p99, ms"}

	batchColumn = Column{Key: "batch", Title: "deliveries a write", Info: true}
)

const saturatedSample = 16 // one message in so many is timed where there are millions

// Scenarios returns all scenarios.
func Scenarios(plan Plan) []Scenario {
	return []Scenario{
		fanout(plan), ladder(plan), rooms(plan), scale(plan), sizes(plan), echo(plan), fanin(plan),
		callbacks(plan), unicast(plan), idle(plan), heartbeat(plan), storm(plan), slow(plan), resume(plan),
	}
}

func fanout(plan Plan) Scenario {
	s := Scenario{
		Name:    "fanout",
		About:   fmt.Sprintf("%d connections in one room, messages of %d bytes. Paced: so many deliveries a second. Saturated: as fast as the room reads, with at most %d messages under way, so that nothing is dropped.", plan.Fanout, plan.Message, plan.Window),
		Columns: []Column{cpuColumn, rateColumn, batchColumn, p50Column, p99Column},
	}
	for _, rate := range plan.PacedRates {
		s.Cases = append(s.Cases, Case{PacedName(rate), func(r runner) (Figures, error) {
			return r.connected(setup{conns: plan.Fanout}, func(p *pair) (Figures, error) {
				f, err := p.measure(p.paced(plan.Warmup, rate), p.paced(plan.Duration, rate))
				delete(f, "rate") // it is the one that was asked for
				return f, err
			})
		}})
	}
	s.Cases = append(s.Cases, saturated("saturated", setup{conns: plan.Fanout}))
	return s
}

// PacedName is the name of the case with so many deliveries a second.
func PacedName(rate float64) string { return fmt.Sprintf("paced at %gk/s", rate/1000) }

// saturated is a case of the closed loop. Its latencies are left out: they measure the window.
func saturated(name string, s setup) Case {
	s.sample = saturatedSample
	return Case{name, func(r runner) (Figures, error) {
		return r.connected(s, func(p *pair) (Figures, error) {
			f, err := p.measure(p.closed(r.plan.Warmup), p.closed(r.plan.Duration))
			delete(f, "p50")
			delete(f, "p99")
			return f, err
		})
	}}
}

// measure publishes twice, and takes the figures of the second time.
func (p *pair) measure(warmup, taken control.Publish) (Figures, error) {
	if _, err := p.publish(warmup); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	b, err := p.publish(taken)
	if err != nil {
		return nil, err
	}
	f := Figures{
		"cpu": each(b.cpu, b.Deliveries), "rate": b.rate / 1000,
		"p50": milliseconds(b.P50), "p99": milliseconds(b.P99),
	}
	if b.writes > 0 {
		f["batch"] = float64(b.Deliveries) / float64(b.writes)
	}
	return f, nil
}

// each returns seconds of CPU for a million, which is microseconds for each one.
func each(cpu time.Duration, n int64) float64 { return cpu.Seconds() * 1e6 / float64(n) }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func rooms(plan Plan) Scenario {
	return Scenario{
		Name:    "rooms",
		About:   fmt.Sprintf("%d rooms of %d, each with a publisher of its own, saturated.", plan.Rooms, plan.RoomSize),
		Columns: []Column{cpuColumn, rateColumn, batchColumn},
		Cases:   []Case{saturated("saturated", setup{conns: plan.Rooms * plan.RoomSize, rooms: plan.Rooms})},
	}
}

func scale(plan Plan) Scenario {
	s := Scenario{
		Name:    "scale",
		About:   "One room, saturated: what a recipient costs when there are more of them.",
		Columns: []Column{cpuColumn, rateColumn, batchColumn},
	}
	for _, conns := range plan.Scale {
		s.Cases = append(s.Cases, saturated(fmt.Sprintf("%d members", conns), setup{conns: conns}))
	}
	return s
}

func sizes(plan Plan) Scenario {
	s := Scenario{
		Name:    "sizes",
		About:   fmt.Sprintf("One room of %d, saturated, messages of other sizes.", plan.SizesConns),
		Columns: []Column{cpuColumn, rateColumn, batchColumn},
	}
	for _, size := range plan.Sizes {
		name := fmt.Sprintf("%d B", size)
		if size >= 1<<10 {
			name = fmt.Sprintf("%d KiB", size>>10)
		}
		s.Cases = append(s.Cases, saturated(name, setup{conns: plan.SizesConns, size: size}))
	}
	return s
}

func echo(plan Plan) Scenario {
	return Scenario{
		Name:    "echo",
		About:   fmt.Sprintf("%d connections with one JSON message of %d bytes each in flight. Every server decodes it and encodes it anew; the floor does not.", plan.EchoConns, plan.Message),
		Columns: []Column{cpuColumn, rateColumn, p50Column, p99Column},
		Cases: []Case{{"one in flight", func(r runner) (Figures, error) {
			return r.connected(setup{conns: plan.EchoConns, receive: "echo"}, (*pair).echo)
		}}},
	}
}

func (p *pair) echo() (Figures, error) {
	var (
		driven control.Driven
		got    control.Delivered
		spent  cost
	)
	for _, d := range []time.Duration{p.plan.Warmup, p.plan.Duration} {
		if err := p.load.Call(callTimeout, "reset", control.Reset{}, nil); err != nil {
			return nil, err
		}
		var err error
		spent, err = p.spent(func() error {
			return p.load.Call(callTimeout, "echo", control.Drive{Duration: d}, &driven)
		})
		if err != nil {
			return nil, err
		}
		if err := p.load.Call(callTimeout, "await", control.Await{Deliveries: driven.Sent}, &got); err != nil {
			return nil, err
		}
		if got.Lost > 0 || got.Misordered > 0 {
			return nil, fmt.Errorf("%d echoes lost, %d out of order, of %d", got.Lost, got.Misordered, driven.Sent)
		}
	}
	return Figures{
		"cpu": each(spent.cpu, got.Deliveries), "rate": float64(got.Deliveries) / driven.Elapsed.Seconds() / 1000,
		"p50": milliseconds(got.P50), "p99": milliseconds(got.P99),
	}, nil
}

func callbacks(plan Plan) Scenario {
	const sleep, spin = 5 * time.Millisecond, 200 * time.Microsecond
	measure := func(s setup) func(runner) (Figures, error) {
		s.conns, s.receive = plan.EchoConns, "echo"
		return func(r runner) (Figures, error) { return r.connected(s, (*pair).echo) }
	}
	return Scenario{
		Name: "callbacks",
		About: fmt.Sprintf("The echo of %d connections with one message each in flight, whose callbacks sleep, or keep a processor busy "+
			"for so long by the clock, before they answer. The CPU has the time in which they do.", plan.EchoConns),
		Columns: []Column{rateColumn, p99Column, cpuColumn},
		Cases: []Case{
			{fmt.Sprintf("sleep %v", sleep), measure(setup{sleep: sleep})},
			{fmt.Sprintf("busy %v", spin), measure(setup{spin: spin})},
		},
	}
}

func unicast(plan Plan) Scenario {
	rate := plan.PacedRates[0]
	return Scenario{
		Name: "unicast",
		About: fmt.Sprintf("A goroutine outside of callbacks sends a message to each of %d connections in turn, %d bytes that are made anew for each, "+
			"so many a second. Latencies count from the beginning of a turn: the time that the sending takes is in them.", plan.Fanout, plan.Message),
		Columns: []Column{cpuColumn, p50Column, p99Column},
		Cases: []Case{{PacedName(rate), func(r runner) (Figures, error) {
			return r.connected(setup{conns: plan.Fanout}, func(p *pair) (Figures, error) {
				warmup, taken := p.paced(plan.Warmup, rate), p.paced(plan.Duration, rate)
				warmup.Unicast, taken.Unicast = true, true
				f, err := p.measure(warmup, taken)
				delete(f, "rate")
				return f, err
			})
		}}},
	}
}

func fanin(plan Plan) Scenario {
	const window = 16
	measure := func(rate float64) func(r runner) (Figures, error) {
		return func(r runner) (Figures, error) {
			return r.connected(setup{conns: plan.FaninConns, receive: "count"}, func(p *pair) (Figures, error) {
				f, err := p.send(control.Drive{Rate: rate, Window: window})
				if rate > 0 {
					delete(f, "rate")
				}
				return f, err
			})
		}
	}
	return Scenario{
		Name:    "fanin",
		About:   fmt.Sprintf("%d connections send JSON messages of %d bytes in turn, one write for each; every server decodes and counts them. Saturated: with at most %d messages of each connection uncounted.", plan.FaninConns, plan.Message, window),
		Columns: []Column{cpuColumn, rateColumn},
		Cases: []Case{
			{PacedName(plan.FaninRate), measure(plan.FaninRate)},
			{"saturated", measure(0)},
		},
	}
}

// send has the clients send, and checks that the server has counted all of it.
func (p *pair) send(drive control.Drive) (Figures, error) {
	var (
		driven control.Driven
		spent  cost
		total  int64
	)
	for _, drive.Duration = range []time.Duration{p.plan.Warmup, p.plan.Duration} {
		var err error
		spent, err = p.spent(func() error { return p.load.Call(callTimeout, "send", drive, &driven) })
		if err != nil {
			return nil, err
		}
		total += driven.Sent
	}
	stats, err := p.stats(false)
	if err != nil {
		return nil, err
	}
	if stats.Received != total {
		return nil, fmt.Errorf("%d messages received of %d", stats.Received, total)
	}
	return Figures{"cpu": each(spent.cpu, driven.Sent), "rate": float64(driven.Sent) / driven.Elapsed.Seconds() / 1000}, nil
}
