package modeltest

import (
	"fmt"
	"slices"
	"time"

	wspulse "github.com/wspulse/server"
)

// A v1Model is wspulse.v1 as a small program: what the clients of a server hear, whose clients read all the time, and
// what its callbacks and its collector get. It is made of the protocol, not of the server. It writes down what it
// expects; v1Trial compares. All times count from the start of the server.
type v1Model struct {
	cfg      v1Config
	now      time.Duration
	log      *modelLog
	dialled  int
	all      []*v1Session          // as they opened
	sessions map[string]*v1Session // those that live, by connectionID
	graves   map[string]*v1Grave   // by connectionID: of the last session that has ended
	tokens   map[string][]int      // all that the clients of a connectionID have got
}

type v1Config struct {
	window, pingPeriod, ackTimeout time.Duration
	buffer, ackFrames, ackBytes    int
	duplicates                     wspulse.DuplicatePolicy
}

// A v1Session is connected, suspended, or over.
type v1Session struct {
	name, id string
	over     bool
	link     *v1Link       // nil unless connected
	expires  time.Duration // never unless suspended
	dropErr  string        // that OnTransportDrop got

	// To the client: acknowledged │ numbered │ waiting.
	acknowledged int      // messages
	numbered     []v1Item // handed over to a transport, and not acknowledged
	waiting      []v1Item
	lost         int           // messages, dropped before those that wait; the client is yet to be told
	progress     time.Duration // when the client last acknowledged, or there was something new to acknowledge

	// From the client.
	accepted  int
	processed []time.Duration // when each message was
	calls     []v1Call        // callbacks that are yet to run
	inRun     bool            // they are being run
	busy      time.Duration   // one of them blocks until then; never if none does

	// Tokens are called by the number of the link that brought them; 0 is none.
	confirmed, newest int
	takeovers         []time.Duration
}

// A v1Item is a message to the client, or a gap.
type v1Item struct {
	name     string // of a message, as its client writes it down
	messages int    // 1, or those of the gap
	bytes    int    // on the wire
}

// A v1Link is a WebSocket.
type v1Link struct {
	name     string
	number   int
	session  *v1Session // nil: the server has turned it away
	since    time.Duration
	nextPing time.Duration
	pings    []time.Duration // when the client gets one
	maybe    time.Duration   // there may be one more then; 0: there is none
	told     int             // the last acknowledgement that has come by it
	stuck    bool            // its client does not read, and
	hand     []v1Item        // this is being written

	malformed   float64       // messages in a row, less those that time has made good, when there was the last
	malformedAt time.Duration // of them
}

// A v1Call is a callback.
type v1Call struct {
	text string
	word string  // of a message: what it has OnMessage do; "" for other callbacks
	link *v1Link // that the message came by
	item v1Item  // that OnMessage sends on if it is to echo
}

// A v1Grave is what is remembered of a session that has ended.
type v1Grave struct {
	session *v1Session
	reason  string
	at      time.Duration
}

// A v1Claim is what a client says that comes back.
type v1Claim struct {
	id          string
	recv, token int // 0 is a token that nobody has got
}

// A v1Ending is a row of the table of endings.
type v1Ending struct {
	bye       string // the reason, also for who comes too late
	reconnect bool
	after     [2]int
	code      int // 0: nobody hears it
	flush     bool
	silences  bool // messages that wait for OnMessage are not given to it any more
	metric    wspulse.DisconnectReason
}

var (
	v1Closed    = v1Ending{"closed", false, [2]int{}, 1000, true, true, wspulse.DisconnectNormal}
	v1Kicked    = v1Ending{"kicked", false, [2]int{}, 1000, false, true, wspulse.DisconnectKick}
	v1Replaced  = v1Ending{"duplicate", false, [2]int{}, 1000, false, true, wspulse.DisconnectDuplicate}
	v1Shutdown  = v1Ending{"shutdown", true, [2]int{0, 5000}, 1001, true, true, wspulse.DisconnectServerClose}
	v1Miscounts = v1Ending{"count", true, [2]int{}, 4400, false, true, wspulse.DisconnectCount}
	v1Expired   = v1Ending{bye: "expired", silences: true, metric: wspulse.DisconnectGraceExpired}
	v1Left      = v1Ending{bye: "closed", metric: wspulse.DisconnectNormal} // by a bye, or with its transport
)

const (
	v1GraveTime   = 5 * time.Minute
	v1WarTime     = 10 * time.Second
	v1Takeovers   = 3 // within v1WarTime are a war
	v1MaxMessage  = 512
	v1Malformed   = 100 // messages within a minute are too many
	v1Inflight    = 256
	v1BlockedTime = 3 * second // in OnMessage
)

func newV1Model(cfg v1Config) *v1Model {
	return &v1Model{cfg: cfg, log: newModelLog(), sessions: make(map[string]*v1Session),
		graves: make(map[string]*v1Grave), tokens: make(map[string][]int)}
}

// willPanic says that a message waits that makes OnMessage panic.
func (s *v1Session) willPanic() bool {
	return slices.ContainsFunc(s.calls, func(c v1Call) bool { return c.word == "panic" })
}

// keeps says whether there is anything to come back to.
func (m *v1Model) keeps() bool { return m.cfg.window > 0 }

// What clients do that connect.

// connect is a client with that connectionID, and with a claim unless that is nil.
func (m *v1Model) connect(id string, claim *v1Claim) *v1Link {
	m.dialled++
	l := &v1Link{name: fmt.Sprintf("client %d (%s)", m.dialled, id), number: m.dialled, since: m.now,
		nextPing: m.now + m.cfg.pingPeriod}
	reason, recv := "", 0
	if claim != nil {
		s := m.sessions[claim.id]
		valid := s != nil && s.knows(claim.token)
		switch {
		case claim.id != id:
			reason = "identity"
		case valid && s.holds(claim.recv):
			m.resume(s, l, claim)
			return l
		case valid:
			m.log.add(m.now, "collector, "+id, "mismatch")
			m.end(s, v1Miscounts, "")
			reason, recv = "count", len(s.processed)
		default:
			reason, recv = m.epitaph(claim)
		}
	}
	old := m.sessions[id]
	if old != nil && old.link != nil && m.cfg.duplicates == wspulse.Reject {
		m.sayBye(l, "duplicate", false, [2]int{}, 4409)
		return l
	}
	if old != nil {
		m.end(old, v1Replaced, "duplicate")
	}
	m.open(id, l, reason, recv)
	return l
}

// epitaph says why there is no session for a claim, and how many of the client's messages had been processed. A token
// that the tombstone does not know is for a session of which nothing is known.
func (m *v1Model) epitaph(claim *v1Claim) (reason string, recv int) {
	g := m.graves[claim.id]
	switch {
	case g != nil && m.now-g.at < v1GraveTime && g.session.knows(claim.token):
		return g.reason, len(g.session.processed)
	case m.sessions[claim.id] != nil:
		return "token", 0
	default:
		return "expired", 0
	}
}

func (m *v1Model) open(id string, l *v1Link, reason string, recv int) {
	s := &v1Session{name: sessionName(len(m.all), id), id: id, expires: never, busy: never}
	m.all = append(m.all, s)
	m.sessions[id] = s
	m.log.add(m.now, "hub, "+id, "opened")
	if reason != "" {
		m.log.add(m.now, "claims, "+id, "false %s", reason)
	}
	m.call(s, v1Call{text: "connect"})
	m.attach(s, l, v1Hello{ID: id, Reason: reason, Recv: recv})
}

// resume is a valid claim.
func (m *v1Model) resume(s *v1Session, l *v1Link, claim *v1Claim) {
	if claim.recv > s.acknowledged {
		m.log.add(m.now, "collector, "+s.id, "%d suppressed", claim.recv-s.acknowledged)
		m.acknowledge(s, claim.recv)
	}
	s.confirmed = claim.token // the attached link brings the newest
	if old := s.link; old != nil {
		s.takeovers = append(s.takeovers, m.now)
		recent := slices.DeleteFunc(slices.Clone(s.takeovers), func(t time.Duration) bool { return m.now-t > v1WarTime })
		m.log.add(m.now, "collector, "+s.id, "replaced")
		m.sayBye(old, "conflict", len(recent) < v1Takeovers, [2]int{}, 4409)
		m.call(s, v1Call{text: "drop(replaced)"})
	}
	m.log.add(m.now, "claims, "+s.id, "true ")
	m.call(s, v1Call{text: "restore"})
	m.attach(s, l, v1Hello{ID: s.id, Resumed: true, Recv: s.accepted, At: claim.recv})
}

// attach gives a session a link, which begins with hello and what has been handed over before.
func (m *v1Model) attach(s *v1Session, l *v1Link, hello v1Hello) {
	l.session, s.link, s.expires, s.progress = s, l, never, m.now
	hello.Window, hello.Heartbeat = m.cfg.window.Milliseconds(), m.cfg.pingPeriod.Milliseconds()
	hello.MaxBytes, hello.Inflight = v1MaxMessage, v1Inflight
	m.hear(l, "%s", hello)
	if m.keeps() {
		s.newest = l.number
		m.tokens[s.id] = append(m.tokens[s.id], l.number)
	}
	for _, item := range s.numbered {
		m.hear(l, "%s", item.name)
	}
	m.write(s)
}

// knows says whether a token is good: the last confirmed one, or the newest.
func (s *v1Session) knows(token int) bool {
	return token != 0 && (token == s.confirmed || token == s.newest)
}

// sent returns how many messages have been handed over.
func (s *v1Session) sent() int {
	n := s.acknowledged
	for _, item := range s.numbered {
		n += item.messages
	}
	return n
}

// holds says whether a client may have got so many messages, and no more, beyond those that it has acknowledged.
func (s *v1Session) holds(recv int) bool {
	n := s.acknowledged
	for _, item := range s.numbered {
		if n >= recv {
			break
		}
		n += item.messages
	}
	return n == recv
}

// What the application does.

// send is Connection.Send.
func (m *v1Model) send(s *v1Session, item v1Item) string {
	switch {
	case s.over:
		return "connection closed"
	case len(s.waiting) >= m.cfg.buffer:
		return "full"
	}
	s.waiting = append(s.waiting, item)
	m.write(s)
	return "nil"
}

func (m *v1Model) serverSend(id string, item v1Item) string {
	if s := m.sessions[id]; s != nil {
		return m.send(s, item)
	}
	return "not found"
}

func (m *v1Model) broadcast(item v1Item) string {
	for _, s := range m.sessions {
		if len(s.waiting) >= m.cfg.buffer {
			s.waiting = s.waiting[1:]
			s.lost++
		}
		s.waiting = append(s.waiting, item)
		m.write(s)
	}
	return "nil"
}

func (m *v1Model) kick(id string) string {
	s := m.sessions[id]
	if s == nil {
		return "not found"
	}
	m.end(s, v1Kicked, "nil")
	return "nil"
}

// closeSession is Connection.Close. It keeps what waits from OnMessage also where the session is over.
func (m *v1Model) closeSession(s *v1Session) string {
	if s.silence(); !s.over {
		m.end(s, v1Closed, "nil")
	}
	return "nil"
}

func (m *v1Model) closeServer() {
	for _, s := range m.sessions {
		m.end(s, v1Shutdown, "server-closed")
	}
	for _, s := range m.all {
		s.silence()
	}
}
