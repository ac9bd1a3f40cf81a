package wstest_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

func TestRecorder_CountsEveryHook(t *testing.T) {
	r := &wstest.Recorder{}
	var hooks sync.WaitGroup
	for range 10 {
		hooks.Go(func() {
			r.RoomCreated("r")
			r.ConnectionOpened("r", "alice")
			r.ResumeAttempt("r", "alice")
			r.MessageReceived("r", 3)
			r.MessageBroadcast("r", 5, 2)
			r.MessageSent("r", "alice", 7)
			r.FrameDropped("r", "alice")
			r.PongTimeout("r", "alice")
			r.LimitReached(wspulse.LimitMalformed, "r", "alice")
			r.LimitReached(wspulse.LimitMaxConnections, "", "")
			r.RequestDone("r", "alice", "reply", time.Second)
			r.ReplyIgnored("r", "alice")
			r.SendBufferUtilization("r", "alice", 1, 2)
			r.ConnectionClosed("r", "alice", time.Second, wspulse.DisconnectKick)
			r.RoomDestroyed("r")
		})
	}
	hooks.Wait()
	all := wstest.Totals{ConnectionOpened: 10, ConnectionClosed: 10, ResumeAttempt: 10, RoomCreated: 10, RoomDestroyed: 10,
		MessageReceived: 10, MessageBroadcast: 10, FanOut: 20, MessageSent: 10, FrameDropped: 10, PongTimeout: 10,
		LimitReached: 20, RequestDone: 10, ReplyIgnored: 10, ReceivedBytes: 30, BroadcastBytes: 50, SentBytes: 70}
	room := all
	room.LimitReached = 10
	alice := wstest.Totals{ConnectionOpened: 10, ConnectionClosed: 10, ResumeAttempt: 10, MessageSent: 10,
		FrameDropped: 10, PongTimeout: 10, LimitReached: 10, RequestDone: 10, ReplyIgnored: 10, SentBytes: 70}
	for name, tc := range map[string]struct{ got, want wstest.Totals }{
		"Totals":        {r.Totals(), all},
		"Room":          {r.Room("r"), room},
		"Connection":    {r.Connection("alice"), alice},
		"another room":  {r.Room("other"), wstest.Totals{}},
		"no connection": {r.Connection(""), wstest.Totals{}},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, tc.got, tc.want)
		}
	}
	if r.Closed(wspulse.DisconnectKick) != 10 || r.Closed(wspulse.DisconnectNormal) != 0 {
		t.Error("wrong reasons")
	}
	if r.Limit(wspulse.LimitMalformed) != 10 || r.Limit(wspulse.LimitMaxConnections) != 10 ||
		r.Limit(wspulse.LimitMessageRate) != 0 {
		t.Error("wrong limits")
	}
}

func TestRecorder_Expectations(t *testing.T) {
	r := &wstest.Recorder{}
	v := &verdict{TB: t}
	r.MessageBroadcast("r", 1, 3)
	r.MessageSent("r", "alice", 1)
	r.FrameDropped("r", "bob")
	r.ExpectConserved(v, 0)
	const want = "wstest: 3 frames accepted (0 by Send, 3 by Broadcast), but 1 sent and 1 dropped, in all 2"
	if v.text != want {
		t.Errorf("%q, want %q", v.text, want)
	}
	r.MessageSent("r", "alice", 1)
	r.ExpectConserved(t, 0)
	r.MessageSent("r", "alice", 1)
	r.ExpectConserved(t, 1)
	r.ExpectClosed(t)
	v.text = ""
	r.ConnectionOpened("r", "alice")
	r.RoomCreated("r")
	r.ExpectClosed(v)
	if want := "wstest: 1 sessions opened, 0 closedwstest: 1 rooms created, 0 destroyed"; v.text != want {
		t.Errorf("%q, want %q", v.text, want)
	}
}

// Frames are conserved whatever the network does to them.
func TestRecorder_ConservedThroughFaults(t *testing.T) {
	for name, faults := range map[string]wstest.Faults{
		"cut":         {CutAfter: 500},
		"reset":       {ResetAfter: 500},
		"black hole":  {BlackHole: true},
		"slow reader": {Throttle: wstest.Rate{Bytes: 10}, Window: wstest.Unbuffered},
		"latency":     {Latency: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &wstest.Recorder{}
				sessions := wspulse.NewServer(fromQuery, wspulse.WithMetrics(r), wspulse.WithSendBufferSize(8),
					wspulse.WithResumeWindow(time.Minute))
				server := wstest.NewServer(t, sessions)
				alice := server.Dial("/?room=r&id=alice")
				server.Dial("/?room=r&id=bob")
				synctest.Wait()
				alice.Conn.Downstream(faults)
				sends := 0
				for i := range 200 {
					_ = sessions.Broadcast("r", ev("all"))
					if err := sessions.Send("alice", ev("one")); err == nil || err == wspulse.ErrSendBufferFull {
						sends++
					}
					if i%50 == 49 {
						time.Sleep(time.Second)
					}
				}
				sessions.Close()
				r.ExpectConserved(t, sends)
				r.ExpectClosed(t)
			})
		})
	}
}
