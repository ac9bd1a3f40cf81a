package wspulse_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
)

// withNames has members called by what ConnectFunc has attached.
var withNames = wspulse.WithPresence(func(c wspulse.Connection) any { return c.Data() })

// presence waits and returns the payloads of the presence frames that a peer has got since the last time.
func (p *peer) presence() (frames []string) {
	time.Sleep(time.Second)
	synctest.Wait()
	for _, f := range p.Received() {
		if f.Event == wspulse.EventPresence {
			frames = append(frames, string(f.Payload))
		}
	}
	return frames
}

func (p *peer) expectPresence(want ...string) {
	p.t.Helper()
	if got := strings.Join(p.presence(), " "); got != strings.Join(want, " ") {
		p.t.Errorf("got  %s\nwant %s", got, strings.Join(want, " "))
	}
}

func TestPresence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		alice.expectPresence(`{"room":"r","full":true,"join":[{"id":"alice"}],"count":1}`)
		bob := w.dial("r", "bob&user=b")
		carol := w.dial("r", "carol&also=s")
		alice.expectPresence(`{"room":"r","join":[{"id":"bob","user":"b","info":"b's"},{"id":"carol","info":"'s"}],"count":3}`)
		list := `{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob","user":"b","info":"b's"},` +
			`{"id":"carol","info":"'s"}],"count":3}`
		bob.expectPresence(list)
		carol.expectPresence(list, `{"room":"s","full":true,"join":[{"id":"carol","info":"'s"}],"count":1}`)
		bob.drop()
		alice.expectPresence(`{"room":"r","away":["bob"],"count":3}`)
		dan := w.dial("r", "dan")
		dan.expectPresence(`{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob","user":"b","info":"b's","away":true},` +
			`{"id":"carol","info":"'s"},{"id":"dan"}],"count":4}`)
		got := fmt.Sprint(w.server.Presence("r"))
		for _, member := range []string{"{alice  <nil> false}", "{bob b b's true}", "{carol  's false}", "{dan  <nil> false}"} {
			if !strings.Contains(got, member) {
				t.Errorf("%s is not in %s", member, got)
			}
		}
		again := w.dial("r", "bob&user=b")
		dan.expectPresence(`{"room":"r","back":["bob"],"count":4}`)
		again.expectPresence(`{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob","user":"b","info":"b's"},` +
			`{"id":"carol","info":"'s"},{"id":"dan"}],"count":4}`)
		w.must(w.server.Kick("carol"))
		w.must(must(w.server.GetConnection("dan")).Join("s"))
		dan.expectPresence(`{"room":"r","leave":["carol"],"count":3}`, `{"room":"s","full":true,"join":[{"id":"dan"}],"count":1}`)
		if again.drop(); len(w.server.Presence("nowhere")) != 0 {
			t.Error("somebody is nowhere")
		}
		time.Sleep(time.Minute)
		alice.presence()
		w.dial("r", "alice") // replaces her
		dan.presence()
	})
}

// What changes back within a moment was never so.
func TestPresence_NothingFlaps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames, wspulse.WithResumeWindow(time.Minute))
		alice := w.dial("r", "alice")
		bob := w.dial("r", "bob")
		alice.presence()
		bob.drop()
		bob = w.dial("r", "bob")
		w.dial("r", "carol")
		w.must(w.server.Kick("carol"))
		alice.expectPresence()
		bob.expectPresence(`{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob"}],"count":2}`)
	})
}

// A room of a thousand in which everybody drops and comes back: nobody leaves, and each hears of it in some frames.
func TestPresence_EverybodyDrops(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const members = 999 // and a watcher: more would be counted
		w := newWorld(t, withNames, wspulse.WithResumeWindow(time.Minute))
		peers := make([]*peer, members)
		for i := range peers {
			peers[i] = w.dial("r", fmt.Sprint(i))
		}
		watcher := w.dial("s", "watcher")
		w.must(must(w.server.GetConnection("watcher")).Join("r"))
		watcher.presence()
		for _, p := range peers {
			p.Drop()
		}
		time.Sleep(10 * time.Second)
		for i := range peers {
			peers[i] = w.dial("r", fmt.Sprint(i))
		}
		frames := watcher.presence()
		for _, frame := range frames {
			if strings.Contains(frame, "leave") || strings.Contains(frame, "join") {
				t.Errorf("%.200s", frame)
			}
		}
		if len(frames) != 2 || !strings.Contains(frames[0], "away") || !strings.Contains(frames[1], "back") {
			t.Errorf("%.200q", frames)
		}
	})
}

// All who open at once cost each of them some frames, and not one for each of the others.
func TestPresence_Storm(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 sessions")
	}
	inBubble(t, func(t *testing.T) {
		const sessions, rooms = 10_000, 100
		w := newWorld(t, withNames)
		peers := make([]*peer, 0, sessions)
		for i := range sessions {
			p, _, err := w.upgrade(fmt.Sprintf("?room=%d&id=%d", i%rooms, i), nil)
			w.must(err)
			p.StartReading()
			peers = append(peers, p)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		most, sum := 0, 0
		for _, p := range peers {
			n := 0
			for _, f := range p.Received() {
				if f.Event == wspulse.EventPresence {
					n++
				}
			}
			most, sum = max(most, n), sum+n
		}
		t.Logf("%d frames for %d sessions, %d for one at the most", sum, sessions, most)
		if most > 10 || sum < sessions {
			t.Errorf("%d frames for one, %d in all", most, sum)
		}
	})
}

// A room of more than a thousand is counted, and listed again when it has become smaller by a quarter.
func TestPresence_Counts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames)
		watcher := w.dial("r", "watcher")
		for i := range 1000 {
			_, _, err := w.upgrade(fmt.Sprintf("?room=r&id=%d", i), nil)
			w.must(err)
		}
		frames := watcher.presence()
		if last := frames[len(frames)-1]; last != `{"room":"r","count":1001}` {
			t.Errorf("%.200s", last)
		}
		for i := range 250 {
			w.must(w.server.Kick(fmt.Sprint(i)))
		}
		watcher.expectPresence(`{"room":"r","count":751}`)
		w.must(w.server.Kick("250"))
		if frames := watcher.presence(); len(frames) != 1 || !strings.HasPrefix(frames[0], `{"room":"r","full":true`) {
			t.Errorf("%.200s", frames)
		}
	})
}

// Who has lost a frame gets a list.
func TestPresence_AfterALoss(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames, wspulse.WithSendBufferSize(4))
		alice := w.dialStalled("r", "alice")
		time.Sleep(time.Second)
		for i := range 8 {
			w.broadcast("r", fmt.Sprint(i))
		}
		w.dial("r", "bob")
		time.Sleep(time.Second)
		alice.StartReading()
		time.Sleep(6 * time.Second)
		frames := alice.presence()
		if len(frames) == 0 || frames[len(frames)-1] !=
			`{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob"}],"count":2}` {
			t.Error(frames)
		}
	})
}

// A function that panics, or says what is no JSON, says nothing.
func TestPresence_BadInfo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, wspulse.WithPresence(func(c wspulse.Connection) any {
			if c.ID() == "alice" {
				panic("no")
			}
			return func() {}
		}))
		alice := w.dial("r", "alice")
		w.dial("r", "bob")
		alice.expectPresence(`{"room":"r","full":true,"join":[{"id":"alice"},{"id":"bob"}],"count":2}`)
	})
}

// A session that has left a room is told nothing more of it, but that this is over.
func TestPresence_NothingAfterLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames)
		alice := w.dial("home", "alice")
		alice.presence()
		c := must(w.server.GetConnection("alice"))
		late := 0
		for range 1000 {
			w.must(c.Join("r"))
			time.Sleep(250 * time.Millisecond) // when the list is due
			w.must(c.Leave("r"))
			w.must(c.Send(ev("left")))
			time.Sleep(time.Second)
			synctest.Wait()
			left := false
			for _, f := range alice.Received() {
				left = left || f.Event == "left"
				if left && strings.Contains(string(f.Payload), `"room":"r","full":true,"join"`) {
					late++
				}
			}
		}
		if late > 0 {
			t.Errorf("%d lists of 1000 came after Leave", late)
		}
	})
}

// A session that the application has leave a room hears of it, or its peer would show the room as it was for ever.
func TestPresence_WhoHasLeftIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, withNames)
		alice := w.dial("home", "alice")
		c := must(w.server.GetConnection("alice"))
		w.must(c.Join("r"))
		alice.presence()
		w.must(c.Leave("r"))
		alice.expectPresence(`{"room":"r","full":true,"count":0}`)
	})
}
