package wspulse

import (
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/wire"
)

// start has the write pump of a link run that an outbox returned, if it did.
func (l *link) start() {
	switch {
	case l == nil:
	case l.quick():
		l.hub.crew.add(l)
	default:
		go l.pump()
	}
}

// quick says that somebody can write for a link who must not wait. Compressing may take its time, and a socket that
// can't say what it takes at once is waited for.
func (l *link) quick() bool { return l.socket.Eager() && !l.deflate }

// writeReady is the write pump by somebody who does not wait: it writes what goes out at once, and says whether there
// is more. What has to be waited for, or to be seen off, it leaves to a goroutine.
func (l *link) writeReady(batch *wire.Batch) (more bool) {
	switch l.session.outbox.take(l, batch) {
	case taskNothing:
	case taskWrite:
		rest, message, err := l.writeNow(batch)
		if rest == nil && err == nil {
			return l.session.outbox.more(l)
		}
		go l.writePump(rest, message, err)
	case taskFinish, taskHangUp, taskReplaced:
		go l.pump()
	}
	return false
}

// pump is the write pump by itself.
func (l *link) pump() { l.writePump(nil, nil, nil) }

// writePump writes a rest that somebody has left, and then all that is queued. It returns when there is nothing more to
// write; when the session or the link has ended, it sees to it that the link departs and the socket is closed. At any
// time one goroutine is the writer of the socket: this one, or one that runs writeReady.
func (l *link) writePump(rest []byte, message *wire.Frame, err error) {
	if over := l.work(rest, message, err); !over {
		return
	}
	_ = l.socket.Close()
	l.hub.links.Done()
}

func (l *link) work(rest []byte, message *wire.Frame, err error) (over bool) {
	for {
		if rest != nil && err == nil {
			err = l.writeRest(rest, message)
		}
		if err != nil {
			l.writeFailed(err)
			return true
		}
		batch := l.newBatch()
		switch task := l.session.outbox.take(l, batch); task {
		case taskWrite:
			rest, message, err = l.writeNow(batch)
		case taskNothing:
			l.hub.batches.Put(batch)
			return false
		case taskHangUp, taskFinish, taskReplaced:
			l.hub.batches.Put(batch)
			l.seeOff(task)
			return true
		}
		l.hub.batches.Put(batch) // whoever waits for its peer has none
	}
}

func (l *link) newBatch() *wire.Batch { return l.hub.batches.Get(l.deflate, !l.socket.Eager()) }

// writeNow writes as much of a batch as the socket takes at once, and empties it. What it does not take goes back to
// the queue, but for a rest that nothing else may come before; message is the one of which it is the end, if it is one.
// A socket that can't say what it takes at once is waited for.
func (l *link) writeNow(batch *wire.Batch) (rest []byte, message *wire.Frame, err error) {
	for p := batch.Next(); len(p) > 0 && rest == nil && err == nil; p = batch.Next() {
		var n int
		if l.socket.Eager() {
			n, err = l.socket.TryWrite(p)
		} else {
			n, err = l.socket.WriteAll(p, l.hub.cfg.writeWait)
		}
		if batch.Wrote(n); err == nil && n < len(p) {
			rest, message = batch.Rest()
		}
	}
	l.wrote(batch.Sent(), message != nil)
	batch.Reset()
	return rest, message, err
}

// writeRest writes a rest, however long that takes as long as the peer takes bytes. See WithWriteWait.
func (l *link) writeRest(rest []byte, message *wire.Frame) error {
	_, err := l.socket.WriteAll(rest, l.hub.cfg.writeWait)
	switch {
	case message == nil:
	case err != nil:
		l.wrote(nil, false)
	default:
		l.wrote([]*wire.Frame{message}, false)
	}
	return err
}

// wrote lets the outbox know which of the messages that were taken have been written whole, and tells of them.
func (l *link) wrote(messages []*wire.Frame, flying bool) {
	fresh, again, waiting := l.session.outbox.written(l, messages, flying)
	l.hub.overBudget()
	if again > 0 {
		l.hub.cfg.lossless.MessagesReplayed(l.session.RoomID(), l.session.id, again)
	}
	l.sent(fresh, waiting)
}

// sent tells of messages that have been written whole, and how many wait behind them.
func (l *link) sent(messages []*wire.Frame, waiting int) {
	s := l.session
	l.hub.sent(s, messages)
	if size := l.hub.cfg.sendBufferSize; len(messages) > 0 {
		l.hub.cfg.metrics.SendBufferUtilization(s.RoomID(), s.id, min(waiting, size), size) // what came back may be beyond
	}
}

// sent tells of messages that the peer of a session has, or will have.
func (h *hub) sent(s *session, messages []*wire.Frame) {
	for _, f := range messages {
		if f.Gap == 0 {
			h.cfg.metrics.MessageSent(s.RoomID(), s.id, f.Size)
		} else {
			h.cfg.lossless.GapTold(s.RoomID(), s.id, f.Gap)
		}
	}
}

// seeOff ends the link in the way that the task asks for.
func (l *link) seeOff(task task) {
	switch task {
	case taskFinish:
		l.finish()
	case taskReplaced:
		l.readDone.wait() // it has been interrupted
		l.hangUp()
	default:
		l.hangUp()
	}
}

// hangUp departs when reading has ended, and answers a peer that is there to read it. One that has closed by itself has
// read what it wants; any other may still be sending.
func (l *link) hangUp() {
	l.depart(l.verdict.err, l.verdict.ends)
	switch {
	case l.verdict.closeFrame == nil:
		l.socket.Abort()
	case l.peerClosed():
		l.socket.CloseAfter(l.verdict.closeFrame, time.Now().Add(l.closeWait()))
	default:
		last := l.farewell(l.verdict.bye, l.verdict.closeFrame)
		l.socket.CloseAfter(last, time.Now().Add(l.hub.cfg.writeWait))
	}
}

// peerClosed says that reading has ended with the peer's close frame or the end of its stream. Once readDone is closed.
func (l *link) peerClosed() bool {
	var closed *websocket.CloseError
	return l.verdict.err == nil || errors.As(l.verdict.err, &closed)
}

// writeFailed departs after a write has failed, without the read pump, which may be in a callback for as long as that
// likes.
func (l *link) writeFailed(err error) {
	if l.readEndsToo(err) {
		l.hangUp()
		return
	}
	l.socket.Abort()
	l.depart(err, nil)
}

// depart hands the link to the hub, which has to know before the peer reads a close frame: it may be back at once.
func (l *link) depart(err error, ends *ending) {
	if l.replaced.Load() { // its session has another one
		return
	}
	select {
	case l.hub.departures <- departure{link: l, err: err, ends: ends}:
	case <-l.session.done.C():
		if !l.replaced.Load() {
			l.session.discard()
		}
	}
}

// farewell returns what the peer gets last: a bye before the close frame, if it speaks wspulse.v1.
func (l *link) farewell(m control.Message, closeFrame *wire.Frame) *wire.Frame {
	if l.v1 == nil {
		return closeFrame
	}
	sent := uint64(0)
	if l.session != nil { // it has become one
		sent = l.session.outbox.sentBy(l)
	}
	return wire.Join(l.hub.cfg.bye(m, sent), closeFrame)
}

// wroteLate counts messages that a link has written that had been replaced meanwhile: they are sent again. The outbox's
// lock is held.
func (l *link) wroteLate(messages []*wire.Frame) {
	if l.v1 == nil {
		return
	}
	for _, f := range messages {
		l.v1.begun += uint64(f.Messages())
	}
	l.v1.sent = l.v1.begun
}

// readEndsToo says, after a write has failed, whether reading ended by itself and so is the cause: a read error fails
// writes too, and a peer that is gone may have left a close frame behind, which is still to be read.
func (l *link) readEndsToo(err error) bool {
	if l.readDone.closed() {
		return true
	}
	if isTimeout(err) && !l.socket.Gone() {
		return false
	}
	l.passReadingOn()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-l.readDone.C():
		return true
	case <-l.session.done.C():
	case <-grace.C:
	}
	return false
}

// finish ends the link of a session that has ended, in the way of the ending: flush or not, the close frame, and time
// for the peer to read both. Messages that it flushes count as sent when the peer's TCP has taken them, where that is
// known.
func (l *link) finish() {
	s := l.session
	flushed, behind, err := l.flush()
	s.discard()
	if err == nil && l.awaitPeer(l.hub.start.Add(s.flushBy)) || err != nil && !isTimeout(err) {
		l.sent(flushed, 0) // a peer that ends has what it wants
		return
	}
	lost, exact := l.lost(flushed, behind)
	if !exact {
		l.sent(flushed, 0) // what the kernel holds goes out behind what had been written before
		return
	}
	taken := len(flushed) - lost
	l.sent(flushed[:taken], 0)
	if s.dropped(notGaps(flushed[taken:])); lost > 0 {
		l.socket.Reset() // it gets nothing more of what has been counted as lost
	}
}

// flush writes what is queued, if the ending says so, and the close frame. It returns the messages that it has written
// whole for the first time, and how many bytes it has written behind them.
func (l *link) flush() (flushed []*wire.Frame, behind int, err error) {
	s, batch := l.session, l.hub.batches.Get(l.deflate, true)
	defer l.hub.batches.Put(batch)
	for err == nil && s.ending.flush && s.outbox.flush(batch) {
		err = l.writeWhole(batch)
		behind = batch.Begun()
		fresh, _, _ := s.outbox.written(l, batch.Sent(), false)
		flushed = append(flushed, fresh...)
		batch.Reset()
	}
	if err == nil {
		last := l.farewell(s.ending.bye, s.ending.closeFrame)
		batch.AddControl(last)
		err = l.writeWhole(batch)
		if behind = len(last.Bytes); err != nil {
			behind = batch.Begun()
		}
	}
	return flushed, behind, err
}

// writeWhole writes a batch however long that takes as long as the peer takes bytes, until the socket is cut.
func (l *link) writeWhole(batch *wire.Batch) error {
	for p := batch.Next(); len(p) > 0; p = batch.Next() {
		n, err := l.socket.WriteAll(p, l.hub.cfg.writeWait)
		batch.Wrote(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitPeer gives the peer time to end: what it sends meanwhile is read, or else it would read a reset instead of what
// was written last. Somebody reads, whether or not a callback runs. The outbound half is ended as soon as the peer is
// silent: before that, a proxy would take it for the end of both halves, and cut a peer that still sends. It says
// whether the peer has ended.
func (l *link) awaitPeer(until time.Time) (ended bool) {
	l.passReadingOn()
	for reads, silent := l.reads.Load(), false; !silent; {
		if l.readEndsBy(time.Now().Add(closeGrace), until) {
			return l.peerEnded(until)
		}
		before := reads
		reads = l.reads.Load()
		silent = reads == before || !time.Now().Before(until)
	}
	l.socket.CloseWrite()
	return l.readEndsBy(until, until) && l.peerEnded(until)
}

// readEndsBy waits for the end of reading until the earlier of two times.
func (l *link) readEndsBy(a, b time.Time) bool {
	timeout := time.NewTimer(min(time.Until(a), time.Until(b)))
	defer timeout.Stop()
	select {
	case <-l.readDone.C():
		return true
	case <-timeout.C:
		return false
	}
}

// peerEnded says whether the peer has ended, or ends until then, once readDone is closed. What ended reading may have
// been its fault.
func (l *link) peerEnded(until time.Time) bool {
	if l.verdict.closeFrame == nil || l.peerClosed() {
		return true
	}
	return l.socket.Drain(until)
}

// lost returns how many of the messages that were flushed, with so many bytes written behind them, the peer's TCP has
// not taken. That is known where nothing older waits in the kernel, and no layer adds bytes of its own.
func (l *link) lost(flushed []*wire.Frame, behind int) (n int, exact bool) {
	pending, known := l.socket.Pending()
	if !known || !l.socket.Eager() {
		return 0, false
	}
	const fin = 1 // counts as a byte
	for pending -= behind + fin; pending > 0 && n < len(flushed); n++ {
		pending -= flushed[len(flushed)-1-n].WireSize(l.deflate)
	}
	return n, pending <= 0
}
