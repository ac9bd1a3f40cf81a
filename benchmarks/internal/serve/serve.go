// Package serve is the process that runs one peer and broadcasts through it.
package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/control"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

// Run answers the driver's requests on r and w until r ends.
func Run(r io.Reader, w io.Writer) error {
	s := &server{}
	err := control.Serve(r, w, s.handle)
	if s.profile != nil {
		pprof.StopCPUProfile()
		_ = s.profile.Close()
	}
	return err
}

type server struct {
	peer        peers.Peer
	rooms       []*room
	acks        *acks
	profile     *os.File
	heapProfile string // file to write when memory is measured, if any
	joined      atomic.Int64
	left        atomic.Int64
	received    atomic.Int64
	receives    bool // received is reported to the load generator; set before anyone connects
}

func (s *server) handle(op string, args json.RawMessage) (any, error) {
	if (s.peer == nil) != (op == "setup") {
		return nil, fmt.Errorf("%s: out of order", op)
	}
	switch op {
	case "setup":
		return control.With(args, s.setup)
	case "publish":
		return control.With(args, s.publish)
	case "wait":
		return control.With(args, s.wait)
	case "stats":
		return control.With(args, s.stats)
	}
	return nil, errors.New("unknown operation")
}

func (s *server) setup(setup control.ServerSetup) (control.ServerReady, error) {
	entry, err := peers.Find(setup.Peer)
	if err != nil {
		return control.ServerReady{}, err
	}
	s.heapProfile = setup.HeapProfile
	if setup.CPUProfile != "" {
		if s.profile, err = os.Create(setup.CPUProfile); err != nil {
			return control.ServerReady{}, err
		}
		if err := pprof.StartCPUProfile(s.profile); err != nil {
			return control.ServerReady{}, err
		}
	}
	cfg := peers.Config{
		Size: setup.Size, Queue: setup.Queue, Ping: setup.Ping, Pong: setup.Pong,
		Echo: setup.Receive == "echo", Work: work(setup), Resume: setup.Resume, Idle: setup.Idle,
		Joined: func() { s.joined.Add(1) },
		Left:   func() { s.left.Add(1) },
	}
	if setup.Receive == "count" {
		s.receives = true
		cfg.Count = func() { s.received.Add(1) }
	}
	for i := range setup.Rooms {
		cfg.Rooms = append(cfg.Rooms, peers.RoomName(i))
	}
	peer, err := entry.New(cfg)
	if err != nil {
		return control.ServerReady{}, err
	}
	s.peer = peer
	for _, name := range cfg.Rooms {
		s.rooms = append(s.rooms, &room{name: name, wake: make(chan struct{}, 1)})
	}
	if s.acks, err = listenForAcks(s); err != nil {
		return control.ServerReady{}, err
	}
	listener, err := listen(setup.SendBuffer)
	if err != nil {
		return control.ServerReady{}, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", peer)
	go func() { _ = (&http.Server{Handler: mux}).Serve(listener) }()
	return control.ServerReady{Addr: listener.Addr().String(), Acks: s.acks.addr()}, nil
}

// work returns what each callback does.
func work(setup control.ServerSetup) func() {
	return func() {
		if setup.Sleep > 0 {
			time.Sleep(setup.Sleep)
		}
		if setup.Spin > 0 {
			now := clock.Now()
			for end := now + int64(setup.Spin); now < end; now = clock.Now() { //nolint:revive // that is the work
			}
		}
	}
}

// listen opens the listener for WebSockets. Sockets inherit the send buffer from it.
func listen(sendBuffer int) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || sendBuffer == 0 {
		return listener, err
	}
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
	})
	return listener, errors.Join(err, set)
}

const (
	pollStep    = time.Millisecond
	waitTimeout = 30 * time.Second
)

func (s *server) wait(w control.Wait) (struct{}, error) {
	counters := map[string]*atomic.Int64{"joined": &s.joined, "left": &s.left, "received": &s.received}
	counter := counters[w.What]
	if counter == nil {
		return struct{}{}, fmt.Errorf("cannot wait for %q", w.What)
	}
	for deadline := time.Now().Add(waitTimeout); counter.Load() < int64(w.Count); time.Sleep(pollStep) {
		if time.Now().After(deadline) {
			return struct{}{}, fmt.Errorf("%s: %d of %d after %v", w.What, counter.Load(), w.Count, waitTimeout)
		}
	}
	return struct{}{}, nil
}
