package bench

import (
	"slices"
	"time"

	"github.com/wspulse/server/benchmarks/internal/peers"
)

// A Plan says how large and how long the measurements are.
type Plan struct {
	Warmup, Duration time.Duration
	Rounds           int
	Workers          int // of the load generator

	Queue      int // messages that each connection may queue
	Window     int // messages of a room that may be under way at saturation; a power of two
	Message    int // bytes
	Ping, Pong time.Duration
	Beat       time.Duration // between the pings of the scenario heartbeat
	Rest       time.Duration // of idle connections, before their memory is taken as it stands

	Fanout            int           // connections
	PacedRates        []float64     // deliveries a second
	Ladder            []float64     // broadcasts a second, rising
	Step              time.Duration // at each of them; there are many
	Rooms, RoomSize   int
	Scale             []int // connections
	SizesConns        int
	Sizes             []int // bytes
	EchoConns         int
	FaninConns        int
	FaninRate         float64 // messages a second
	Idle, Storm       int     // connections
	SlowConns, SlowOf int     // members of the room that do not read, members
	ResumeConns       int
	ResumeFrames      int
	SlowFill          int // messages that block those that do not read
}

// Full is the plan behind published figures.
func Full() Plan {
	return Plan{
		Warmup: 300 * time.Millisecond, Duration: 1500 * time.Millisecond, Rounds: 5, Workers: 1,
		Queue: 256, Window: 128, Message: 128, Ping: 25 * time.Second, Pong: 60 * time.Second, Beat: 4 * time.Second, Rest: time.Second,
		Fanout: 1000, PacedRates: []float64{50e3, 200e3},
		Ladder: []float64{100, 200, 300, 400, 500, 1000, 1500, 2000, 2500, 3000,
			3500, 4000, 4500, 5000, 5500, 6000, 6500, 7000, 7500, 8000}, Step: time.Second,
		Rooms: 100, RoomSize: 10,
		Scale:      []int{10, 100, 1000, 10000},
		SizesConns: 100, Sizes: []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10},
		EchoConns:  100,
		FaninConns: 1000, FaninRate: 100e3,
		Idle: 10000, Storm: 5000,
		SlowConns: 10, SlowOf: 1000, SlowFill: 1024,
		ResumeConns: 2000, ResumeFrames: 100,
	}
}

// Quick is the plan that only shows that everything works.
func Quick() Plan {
	p := Full()
	p.Warmup, p.Duration, p.Rounds = 20*time.Millisecond, 100*time.Millisecond, 1
	p.Fanout, p.PacedRates = 40, []float64{4e3}
	p.Ladder, p.Step = []float64{200, 400, 1000}, 100*time.Millisecond
	p.Rooms, p.RoomSize = 4, 5
	p.Scale = []int{10, 50}
	p.SizesConns, p.Sizes = 8, []int{64, 64 << 10}
	p.EchoConns = 10
	p.FaninConns, p.FaninRate = 20, 5e3
	p.Idle, p.Storm, p.Beat, p.Rest = 50, 50, 200*time.Millisecond, 20*time.Millisecond
	p.SlowConns, p.SlowOf, p.SlowFill = 2, 20, 256
	p.ResumeConns, p.ResumeFrames = 20, 10
	return p
}

// Has says whether a series is of one of the plan's cases, and of a peer that there is.
func (p Plan) Has(of Series) bool {
	if _, err := peers.Find(of.Peer); err != nil {
		return false
	}
	return slices.ContainsFunc(Scenarios(p), func(s Scenario) bool {
		return s.Name == of.Scenario && slices.ContainsFunc(s.Cases, func(c Case) bool { return c.Name == of.Case })
	})
}
