package wspulse_test

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wspulse "github.com/wspulse/server"
)

// Two rooms of 5,000 are flooded with broadcasts. How long do others wait: a broadcast to another room until it is
// fanned out, and callers of Kick and Close?
func BenchmarkHotRooms(b *testing.B) {
	for _, peers := range []string{"suspended", "sink"} {
		b.Run("peers="+peers, func(b *testing.B) {
			for _, call := range []string{"Broadcast", "Kick", "Close", "KickInHotRoom"} {
				b.Run("call="+call, func(b *testing.B) { benchHotRooms(b, peers == "suspended", call) })
			}
		})
	}
}

// An otherRoom tells when a broadcast to the room "other" has been fanned out.
type otherRoom struct {
	wspulse.NoopCollector
	fannedOut chan struct{}
	suspended atomic.Int64
	flood     atomic.Int64 // frames fanned out in hot rooms
}

func (o *otherRoom) MessageBroadcast(room string, _, _ int) {
	if room == "other" {
		o.fannedOut <- struct{}{}
	} else {
		o.flood.Add(1)
	}
}

func benchHotRooms(b *testing.B, suspended bool, call string) {
	const members = 5000
	other := &otherRoom{fannedOut: make(chan struct{}, 1)}
	options := []wspulse.ServerOption{wspulse.WithMetrics(other)}
	if suspended {
		options = append(options, wspulse.WithResumeWindow(time.Hour),
			wspulse.WithOnTransportDrop(func(wspulse.Connection, error) { other.suspended.Add(1) }))
	}
	w := newBenchWorld(b, options...)
	rooms := []string{"hot0", "hot1"}
	var conns []*sinkConn
	for _, room := range rooms {
		for i := range members {
			conns = append(conns, w.join(room, room+strconv.Itoa(i)))
		}
	}
	w.join("other", "bystander")
	victims := "other"
	if call == "KickInHotRoom" {
		victims = rooms[0]
	}
	count := func(room string) int { return len(w.server.GetConnections(room)) }
	eventually(b, "all are in their rooms", func() bool { return count("hot0") == members && count("hot1") == members })
	if suspended {
		for _, c := range conns {
			c.hangUp()
		}
		eventually(b, "all are suspended", func() bool { return other.suspended.Load() == int64(len(conns)) })
	}
	var (
		flood sync.WaitGroup
		over  atomic.Bool
		f     = benchFrame(128)
	)
	for _, room := range rooms {
		flood.Go(func() {
			for !over.Load() {
				_ = w.server.Broadcast(room, f)
			}
		})
	}
	eventually(b, "the flood is there", func() bool { return other.flood.Load() > 500 })
	var waits []time.Duration
	began := time.Now()
	flooded := other.flood.Load()
	for n := 0; b.Loop(); n++ {
		id := "victim" + strconv.Itoa(n)
		var victim wspulse.Connection
		if call != "Broadcast" {
			w.join(victims, id)
			eventually(b, "the victim is there", func() bool {
				all := w.server.GetConnections(victims)
				i := slices.IndexFunc(all, func(c wspulse.Connection) bool { return c.ID() == id })
				if i >= 0 {
					victim = all[i]
				}
				return victim != nil
			})
		}
		start := time.Now()
		switch call {
		case "Broadcast":
			_ = w.server.Broadcast("other", f)
			<-other.fannedOut
		case "Close":
			_ = victim.Close()
		default:
			_ = w.server.Kick(id)
		}
		waits = append(waits, time.Since(start))
		time.Sleep(time.Millisecond)
	}
	rate := float64(other.flood.Load()-flooded) / time.Since(began).Seconds()
	over.Store(true)
	flood.Wait()
	slices.Sort(waits)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(waits[len(waits)/2]), "p50-ms")
	b.ReportMetric(ms(waits[len(waits)-1]), "max-ms")
	b.ReportMetric(rate*members/1e6, "Mdeliveries/s")
}
