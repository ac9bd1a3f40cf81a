package wspulse

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// An inbound is the way of a link's messages to OnMessage, one at a time. The goroutine that reads runs the callback
// itself; nothing is read meanwhile. If a callback takes long, reading passes on to another goroutine: what that reads
// waits in an inbox, which the first one works off when its callback has returned. So it is noticed that a peer has
// left, whatever its callback does.
//
//	       enter               passOn
//	open ─────────► inline ──────────────► passed
//	  ▲      exit     │                      │
//	  └───────────────┴──────────────────────┘ next, when the inbox is empty
//
// A link begins inline, in the callback that opens it.
type inbound struct {
	state atomic.Uint32
	left  latch // closed when no callback runs and none will: the link's turn in the session is over

	mu    sync.Mutex // guards what follows, and the way to passed and from it; a leaf
	inbox *inbox     // while state is passed
}

// The states of an inbound, beside a number that grows with each callback.
const (
	inOpen   uint32 = 0 // no callback runs
	inInline uint32 = 1 // the goroutine that reads is in a callback
	inPassed uint32 = 2 // another one is in a callback

	inShut uint32 = 4  // no more callbacks, whatever waits
	inOver uint32 = 8  // nothing more comes in
	inLeft uint32 = 16 // left has been closed

	inModes uint32 = 3
	inStep  uint32 = 32
)

// An inbox is messages that wait for a callback to return.
type inbox struct {
	messages []message
	bytes    int
	room     chan struct{} // of capacity 1: there may be room now; never closed
	widened  bool          // see widen
}

// A message has been read, counted and decoded. Or it is another callback, whose turn comes behind those before it.
type message struct {
	frame    Frame
	size     int  // in bytes, on the wire
	refused  bool // it is only counted, in its turn
	callback *callback
}

const (
	messageOverhead = 64                     // bytes that a message which waits costs beside its own
	maxInbox        = 4 << 20                // bytes that may wait while it is not known whether the peer has left
	minInbox        = 4 << 10                // bytes that may wait, even if messages are smaller
	lookPeriod      = 100 * time.Millisecond // after which a goroutine that waits for room looks whether its peer has left
)

// inside says whether the goroutine that reads is in a callback, and is the only one who could read.
func (in *inbound) inside() bool { return in.state.Load()&inModes == inInline }

// quiet says that no callback runs.
func (in *inbound) quiet() bool { return in.state.Load()&inModes == inOpen }

// isShut says that no more callbacks may begin.
func (in *inbound) isShut() bool { return in.state.Load()&inShut != 0 }

// enter says whether the goroutine that reads may run a callback; it must exit then.
func (in *inbound) enter() bool {
	s := in.state.Load()
	return s&(inModes|inShut) == inOpen && in.state.CompareAndSwap(s, s+inStep|inInline)
}

// exit says that the callback has returned, and whether reading has not passed on: if it has, the goroutine calls next
// from now on.
func (in *inbound) exit() (reads bool) {
	for {
		s := in.state.Load()
		if s&inModes == inPassed {
			return false
		}
		if in.state.CompareAndSwap(s, s&^inModes) {
			in.endTurn()
			return true
		}
	}
}

// passOn says whether reading passes on to the caller, from a goroutine that is in a callback.
func (in *inbound) passOn() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		s := in.state.Load()
		if s&inModes != inInline {
			return false
		}
		if in.state.CompareAndSwap(s, s&^inModes|inPassed) {
			in.inbox = &inbox{room: make(chan struct{}, 1)}
			return true
		}
	}
}

// What has become of a callback that was posted.
type posting int

const (
	postLate  posting = iota // no more callbacks may begin
	postSoon                 // the goroutine that reads is in a callback: another one has to read first
	postWaits                // in the inbox
	postFirst                // the same, and the caller is to start the goroutine that works it off
)

// post leaves another callback to the goroutine that works off the inbox, before the messages that wait.
func (in *inbound) post(m message) posting {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		s := in.state.Load()
		switch {
		case s&inShut != 0, s&inModes == inOpen && s&inOver != 0:
			return postLate
		case s&inModes == inInline:
			return postSoon
		case s&inModes == inPassed:
			in.inbox.insert(m)
			return postWaits
		case in.state.CompareAndSwap(s, s+inStep|inPassed):
			in.inbox = &inbox{room: make(chan struct{}, 1), messages: []message{m}}
			return postFirst
		}
	}
}

// put leaves a message of l, whose inbound it is, to the goroutine that works off the inbox, once there is room for it,
// or reading is to end. It returns false if there is no such goroutine any more. Where the peer has gone there is more
// room.
func (in *inbound) put(m message, l *link) bool {
	for {
		in.mu.Lock()
		b := in.inbox
		switch {
		case b == nil:
			in.mu.Unlock()
			return false
		case in.isShut():
			in.mu.Unlock()
			return true
		case len(b.messages) == 0, b.bytes+m.size+messageOverhead <= b.most(l.inboxBytes()), l.cause.Load() != nil:
			b.messages = append(b.messages, m)
			b.bytes += m.size + messageOverhead
			in.mu.Unlock()
			return true
		}
		in.mu.Unlock()
		if b.await(l) {
			in.widen()
		}
	}
}

// insert has a callback wait before the messages.
func (b *inbox) insert(m message) {
	i := slices.IndexFunc(b.messages, func(m message) bool { return m.callback == nil })
	if i < 0 {
		i = len(b.messages)
	}
	b.messages = slices.Insert(b.messages, i, m)
}

// widen lets more wait: the peer has gone, or may have, and what it has sent last has to be known.
func (in *inbound) widen() {
	in.mu.Lock()
	b := in.inbox
	if b != nil {
		b.widened = true
	}
	in.mu.Unlock()
	if b != nil {
		b.roomy()
	}
}

// most returns how many bytes may wait.
func (b *inbox) most(most int) int {
	if b.widened {
		return max(most, maxInbox)
	}
	return most
}

// await waits for room, or until reading is to end. It says whether the peer has gone first.
func (b *inbox) await(l *link) bool {
	l.worker.PassOn()
	look := time.NewTicker(lookPeriod)
	defer look.Stop()
	for {
		select {
		case <-b.room:
			return false
		case <-look.C:
			if l.cause.Load() != nil || l.socket.Gone() {
				return true
			}
		}
	}
}

// roomy says that there may be room.
func (b *inbox) roomy() {
	select {
	case b.room <- struct{}{}:
	default:
	}
}

// next returns the message that has waited longest. If there is none, the goroutine that reads runs callbacks itself
// again.
func (in *inbound) next() (m message, ok bool) {
	in.mu.Lock()
	b := in.inbox
	if len(b.messages) > 0 {
		m, b.messages[0], ok = b.messages[0], message{}, true
		b.messages = b.messages[1:]
		if m.callback == nil {
			b.bytes -= m.size + messageOverhead
		}
	} else {
		in.inbox = nil
		in.state.And(^inModes)
	}
	in.mu.Unlock()
	b.roomy()
	if !ok {
		in.endTurn()
	}
	return m, ok
}

// shut lets no callback begin any more, but for those that tell of what has happened. It does not wait for one that
// runs.
func (in *inbound) shut() {
	in.state.Or(inShut)
	in.mu.Lock()
	b := in.inbox
	if b != nil {
		b.messages = slices.DeleteFunc(b.messages, func(m message) bool { return m.callback == nil })
	}
	in.mu.Unlock()
	if b != nil {
		b.roomy()
	}
	in.endTurn()
}

// end says that nothing more comes in. What waits is still worked off.
func (in *inbound) end() {
	in.state.Or(inOver)
	in.endTurn()
}

// endTurn closes left when it is time.
func (in *inbound) endTurn() {
	for {
		s := in.state.Load()
		if s&inModes != inOpen || s&(inShut|inOver) == 0 || s&inLeft != 0 {
			return
		}
		if in.state.CompareAndSwap(s, s|inLeft) {
			in.left.close()
			return
		}
	}
}

// receive decodes a message and gives it to OnMessage, or leaves that to the goroutine that works off the inbox. A
// reply goes to its request at once: that may be one of the callback's. A session that has ended gets none. Read pump.
func (l *link) receive(data []byte) error {
	if l.in.isShut() || l.session.silenced.Load() {
		return nil
	}
	if l.v1 != nil && !l.session.outbox.accept(l) {
		return ErrTransportReplaced
	}
	l.hub.cfg.metrics.MessageReceived(l.session.RoomID(), len(data))
	if l.hub.cfg.onMessage == nil && !l.hub.requestIDs.Begun() {
		l.processed(len(data))
		return nil
	}
	f, err := l.decode(data)
	if err != nil {
		return l.countRefused(len(data), l.malformedMessage(len(data), err))
	}
	l.malformed = nil
	if l.session.takeReply(f) || l.hub.cfg.onMessage == nil {
		return l.countRefused(len(data), nil)
	}
	return l.deliver(message{frame: f, size: len(data)})
}

// countRefused counts a message of wspulse.v1 that was accepted and is not OnMessage's, behind those before it. err is
// why reading is to end; nil: it is not.
func (l *link) countRefused(size int, err error) error {
	if l.v1 == nil {
		return err
	}
	if passed := l.deliver(message{size: size, refused: true}); passed != nil {
		if err != nil {
			l.interrupt(err)
		}
		return passed
	}
	return err
}

// decode contains a panic of the codec. The error is a *PanicError, or the codec's.
func (l *link) decode(data []byte) (f Frame, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = l.panicked(v)
		}
	}()
	return l.hub.cfg.decode(data)
}

// panicked makes an error of a panic, and logs it.
func (l *link) panicked(v any) error {
	l.hub.logPanic("OnMessage", l.session.id, v)
	return &PanicError{Value: v, Stack: debug.Stack()}
}

// malformedMessage logs what the codec has refused, and ends a transport whose peer sends too much of it.
func (l *link) malformedMessage(size int, err error) error {
	if panicked := (*PanicError)(nil); errors.As(err, &panicked) {
		return err
	}
	if entry := l.hub.limited.Check(zap.WarnLevel, "wspulse: malformed message dropped"); entry != nil {
		reason := zap.Error(err)
		if !l.hub.cfg.json {
			reason = zap.String("errorType", fmt.Sprintf("%T", err)) // its text may quote the message
		}
		entry.Write(l.session.field(), zap.Int("bytes", size), reason)
	}
	return l.checkMalformed()
}

// deliver gives a message to OnMessage in its turn. Errors: what ends reading, and errPassedOn. Read pump.
func (l *link) deliver(m message) error {
	var start time.Duration
	if l.received != nil || l.socket.Polled() {
		start = time.Since(l.hub.start)
		l.calledAt = start
	}
	for !l.in.enter() {
		if l.in.isShut() || l.in.put(m, l) {
			l.credit(start)
			return nil
		}
	}
	l.hub.watch.add(l)
	err := l.call(m)
	if l.in.exit() {
		if l.socket.Polled() {
			l.paced(time.Since(l.hub.start) - start)
		}
		l.credit(start)
		return err
	}
	l.workOff(err)
	return errPassedOn
}

// post queues another callback behind those that run or wait. It returns false where the link has no more of them. Hub.
func (l *link) post(m message) bool {
	for {
		switch l.in.post(m) {
		case postLate:
			return false
		case postSoon:
			l.passReadingOn()
		case postFirst:
			go l.workOff(nil)
			return true
		case postWaits:
			return true
		}
	}
}

// call runs OnMessage. The error is a *PanicError.
func (l *link) call(m message) (err error) {
	returned := false
	defer l.afterCallback(&returned, &err)
	if l.v1 != nil && m.callback == nil {
		defer l.processed(m.size) // whatever becomes of it: what fails once does not come again
	}
	switch {
	case m.callback != nil:
		m.callback.run(l.session)
	case !m.refused:
		l.hub.cfg.onMessage(l.session, m.frame)
	}
	returned = true
	return nil
}

// processed counts a message that OnMessage, or the codec, is through with.
func (l *link) processed(size int) {
	if l.v1 != nil {
		l.session.outbox.process(size).start()
	}
}

// afterCallback contains a panic, and sees to the end of a goroutine that a callback has ended. It is to be deferred.
func (l *link) afterCallback(returned *bool, err *error) {
	if *returned {
		return
	}
	if v := recover(); v != nil {
		*err = l.panicked(v)
		return
	}
	if l.v1 == nil {
		l.in.shut()
	}
	if l.in.exit() {
		l.endReading(errGoexit)
		return
	}
	l.interrupt(errGoexit)
	go l.workOff(nil) // what waits has been accepted, or tells of what has happened
}

// workOff gives what waits behind a callback that took long to OnMessage; err is the callback's. After a panic there is
// none, but with wspulse.v1, where what waits has been accepted.
func (l *link) workOff(err error) {
	for {
		if err != nil {
			l.interrupt(err)
			if l.v1 == nil {
				l.in.shut()
			}
		}
		if l.silenced() {
			l.in.shut()
		}
		m, ok := l.in.next()
		if !ok {
			return
		}
		err = l.call(m)
	}
}

// silenced says that what waits is not given to OnMessage any more.
func (l *link) silenced() bool {
	select {
	case <-l.hub.quit:
		return true
	default:
		return l.session.silenced.Load()
	}
}

// inboxBytes is how much may wait behind a callback that takes long. With wspulse.v1, the peer bounds what it sends,
// and what it says behind that must be heard.
func (l *link) inboxBytes() int {
	if least := max(minInbox, int(l.hub.cfg.maxMessageSize)); l.v1 == nil {
		return least
	}
	return l.hub.cfg.inflight() * (int(l.hub.cfg.maxMessageSize) + messageOverhead)
}
