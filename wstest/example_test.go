package wstest_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/wstest"
)

// An auction is a program to be tested: what a bidder says goes to the whole room.
type auction struct {
	sessions wspulse.Server
}

func newAuction(options ...wspulse.ServerOption) *auction {
	a := &auction{}
	a.sessions = wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		if connectionID = r.Header.Get("X-Bidder"); connectionID == "" {
			return "", "", errors.New("who is that?")
		}
		return r.URL.Query().Get("lot"), connectionID, nil
	}, append(options, wspulse.WithResumeWindow(time.Minute), wspulse.WithOnMessage(a.bid))...)
	return a
}

func (a *auction) bid(c wspulse.Connection, f wspulse.Frame) {
	f.Event = c.ID() + " bids " + f.Event
	_ = a.sessions.Broadcast(c.RoomID(), f)
}

func bidder(name string) wstest.DialOption {
	return wstest.WithHeader(http.Header{"X-Bidder": {name}})
}

// A bidder whose connection drops comes back, and has missed nothing.
func Test_BidderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &wstest.Recorder{}
		auction := newAuction(wspulse.WithMetrics(recorder))
		mux := http.NewServeMux()
		mux.Handle("/auction", auction.sessions)
		server := wstest.NewServer(t, mux)

		alice := server.Dial("/auction?lot=7", bidder("alice"))
		bob := server.Dial("/auction?lot=7", bidder("bob"))
		synctest.Wait()
		alice.Drop()
		synctest.Wait()
		bob.Send(wspulse.Frame{Event: "10"}, wspulse.Frame{Event: "20"})
		bob.Expect("bob bids 10", "bob bids 20")
		time.Sleep(59 * time.Second) // of the minute that she has, and no time at all

		alice = server.Dial("/auction?lot=7", bidder("alice"))
		alice.Expect("bob bids 10", "bob bids 20")
		alice.Send(wspulse.Frame{Event: "30"})
		bob.Expect("alice bids 30")

		auction.sessions.Close()
		alice.ExpectClose(1001, "server shutting down")
		recorder.ExpectConserved(t, 0)
		recorder.ExpectClosed(t)
		if n := recorder.Connection("alice").ResumeAttempt; n != 1 {
			t.Errorf("alice was resumed %d times", n)
		}
	})
}

// A bidder whose network swallows everything is given up when nothing has come for thirty seconds after a ping.
func Test_BidderVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &wstest.Recorder{}
		auction := newAuction(wspulse.WithMetrics(recorder), wspulse.WithHeartbeat(10*time.Second, 30*time.Second))
		server := wstest.NewServer(t, auction.sessions)
		alice := server.Dial("/?lot=7", bidder("alice"))
		synctest.Wait()
		alice.Conn.Upstream(wstest.Faults{BlackHole: true})
		time.Sleep(40*time.Second - time.Nanosecond) // the first ping is sent after ten
		if n := recorder.Totals().PongTimeout; n != 0 {
			t.Error("alice was given up too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := recorder.Totals().PongTimeout; n != 1 {
			t.Error("alice was not given up")
		}
	})
}
