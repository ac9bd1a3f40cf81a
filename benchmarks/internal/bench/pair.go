package bench

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/control"
)

// A pair is a server process and a load generator process, for one measurement.
type pair struct {
	plan         Plan
	server, load *control.Child
	conns, mute  int
	rooms        int
	size         int
	window       int
}

// setup is what a measurement asks of its pair.
type setup struct {
	conns, rooms, mute int // rooms is 1 if not set
	size               int // of a message; the plan's if not set
	receive            string
	sleep, spin        time.Duration // what each callback does
	ping               time.Duration // between heartbeats; the plan's if not set
	resume             time.Duration
	idle               bool
	sendBuffer         int
	sample             uint32 // one message in so many is timed; 1 if not set
	burst              bool   // connect all at once
	lossy              bool   // the server may drop messages and end connections
}

const (
	callTimeout = 90 * time.Second // none takes nearly as long
	connectRate = 256              // connects under way at once, where that is not what is measured
	spareFiles  = 100              // open files besides the connections
	windowBytes = 4 << 20          // that may be under way to a connection
	acksPerWin  = 4                // reports of progress for each window
)

func startPair(r runner, s setup) (*pair, error) {
	if err := CheckFiles(s.conns + spareFiles); err != nil {
		return nil, err
	}
	p := &pair{plan: r.plan, conns: s.conns, mute: s.mute, rooms: max(s.rooms, 1), size: s.size}
	if p.size == 0 {
		p.size = r.plan.Message
	}
	for p.window = r.plan.Window; p.window > acksPerWin && p.window*p.size > windowBytes; {
		p.window /= 2
	}
	if err := p.start(r, s); err != nil {
		_ = p.stop()
		return nil, err
	}
	return p, nil
}

func (p *pair) start(r runner, s setup) (err error) {
	var cpu, heap string
	if r.profile != "" {
		cpu, heap = r.profile+".cpu", r.profile+".heap"
	}
	program, args := r.program, []string{"serve"}
	if len(r.command) > 0 {
		program, args = r.command[0], r.command[1:]
	}
	if p.server, err = control.Start(program, args...); err != nil {
		return err
	}
	var ready control.ServerReady
	err = p.server.Call(callTimeout, "setup", control.ServerSetup{
		Peer: r.peer, Rooms: p.rooms, Size: p.size, Queue: p.plan.Queue, Ping: cmp.Or(s.ping, p.plan.Ping), Pong: p.plan.Pong,
		Receive: s.receive, Sleep: s.sleep, Spin: s.spin, Resume: s.resume, Idle: s.idle, SendBuffer: s.sendBuffer, CPUProfile: cpu, HeapProfile: heap,
	}, &ready)
	if err != nil {
		return err
	}
	if p.load, err = control.Start("", "load"); err != nil {
		return err
	}
	rate := connectRate
	if s.burst {
		rate = 0
	}
	return p.load.Call(callTimeout, "setup", control.LoadSetup{
		Peer: r.peer, Server: ready, Conns: p.conns, Rooms: p.rooms, Mute: p.mute, Milestone: uint32(p.window / acksPerWin),
		ConnectRate: rate, Resumable: s.resume > 0, Lossy: s.lossy, RequestSize: p.size, Sample: max(s.sample, 1), Workers: p.plan.Workers,
	}, nil)
}

// CheckFiles fails when a process may not open that many files.
func CheckFiles(need int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // the processes do so too
	if limit.Max < uint64(need) {
		return fmt.Errorf("%d open files are needed in a process, the limit is %d: raise it (ulimit -Hn)", need, limit.Max)
	}
	return nil
}

func (p *pair) stop() error {
	var err error
	for _, child := range []*control.Child{p.load, p.server} {
		if child != nil {
			if e := child.Stop(); err == nil {
				err = e
			}
		}
	}
	return err
}

// connect brings all connections up and waits until they are in their rooms.
func (p *pair) connect() (c control.Connected, err error) {
	if err = p.load.Call(callTimeout, "connect", struct{}{}, &c); err != nil {
		return c, err
	}
	return c, p.wait("joined", p.conns)
}

func (p *pair) wait(what string, count int) error {
	return p.server.Call(callTimeout, "wait", control.Wait{What: what, Count: count}, nil)
}

func (p *pair) stats(settle bool) (s control.Stats, err error) {
	err = p.server.Call(callTimeout, "stats", control.Settle{Settle: settle}, &s)
	return s, err
}

// spent returns what the server spends during fn.
func (p *pair) spent(fn func() error) (cost, error) {
	before, err := p.stats(false)
	if err != nil {
		return cost{}, err
	}
	if err := fn(); err != nil {
		return cost{}, err
	}
	after, err := p.stats(false)
	return cost{cpu: after.CPU - before.CPU, writes: after.Writes - before.Writes}, err
}

type cost struct {
	cpu    time.Duration
	writes int64 // system calls
}

// A broadcast is what came of one publication.
type broadcast struct {
	control.Delivered
	cost
	expected int64   // deliveries
	rate     float64 // deliveries a second, from the first message to the last delivery
}

// publish broadcasts, and checks that every member that reads has got every message, in order.
func (p *pair) publish(request control.Publish) (broadcast, error) {
	b, err := p.publishLossy(request)
	if err == nil && b.Lost > 0 {
		err = fmt.Errorf("%d deliveries lost, of %d", b.Lost, b.expected)
	}
	return b, err
}

// publishLossy broadcasts, and checks that what the members got was in order. The rest is lost.
func (p *pair) publishLossy(request control.Publish) (b broadcast, err error) {
	request.Size = p.size
	var published control.Published
	b.cost, err = p.spent(func() error {
		inTime := control.Reset{Deadline: clock.Now() + int64(request.Duration)}
		if err := p.load.Call(callTimeout, "reset", inTime, nil); err != nil {
			return err
		}
		if err := p.server.Call(callTimeout, "publish", request, &published); err != nil {
			return err
		}
		b.expected = p.expected(published.Counts)
		return p.load.Call(callTimeout, "await", control.Await{Deliveries: b.expected}, &b.Delivered)
	})
	if err != nil {
		return b, err
	}
	if published.Stalled {
		return b, errors.New("the room made no progress for too long")
	}
	if b.Misordered > 0 {
		return b, fmt.Errorf("%d deliveries out of order, %d lost, of %d", b.Misordered, b.Lost, b.expected)
	}
	b.rate = float64(b.Deliveries) / time.Duration(b.Last-published.Start).Seconds()
	return b, nil
}

// expected returns how many deliveries so many messages for each room make. Connections take rooms in turn.
func (p *pair) expected(counts []int) (deliveries int64) {
	for i := range p.conns - p.mute {
		deliveries += int64(counts[i%p.rooms])
	}
	return deliveries
}

// closed is the publication of the closed loop.
func (p *pair) closed(d time.Duration) control.Publish {
	return control.Publish{Duration: d, Window: uint32(p.window)}
}

// paced is the publication of so many deliveries a second.
func (p *pair) paced(d time.Duration, deliveries float64) control.Publish {
	return control.Publish{Duration: d, Rate: deliveries / float64(p.conns)}
}
