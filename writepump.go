package wspulse

import (
	"errors"
	"io"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wspulse/server/internal/wire"
)

// writePump is the only writer of the socket. It returns when there is nothing more to write; when the session or the link
// has ended, it sees to it that the link departs and the socket is closed.
func (l *link) writePump(c *convoy) {
	if over := l.work(c); !over {
		return
	}
	_ = l.socket.Close()
	l.hub.links.Done()
}

func (l *link) work(c *convoy) (over bool) {
	batch := l.hub.batches.Get(l.deflate)
	defer l.hub.batches.Put(batch)
	for first := true; ; first = false {
		task := l.session.outbox.take(batch)
		if quick := first && task == taskWrite; !quick && task != taskNothing {
			c.passOn()
		}
		switch task {
		case taskNothing:
			return false
		case taskWrite:
			l.allowWrite()
			if err := l.writeBatch(batch, c.writer(l)); err != nil {
				l.writeFailed(err)
				return true
			}
		case taskHangUp:
			l.hangUp()
			return true
		case taskFinish:
			l.finish(batch)
			return true
		}
	}
}

// hangUp departs when reading has ended, and answers a peer that is there to read it.
func (l *link) hangUp() {
	l.depart(l.readErr)
	if l.closeFrame != nil {
		l.socket.CloseAfter(l.closeFrame, time.Now().Add(closeGrace))
	} else {
		l.socket.Abort()
	}
}

// writeFailed departs after a write has failed, without the read pump, which may be in a callback for as long as that likes.
func (l *link) writeFailed(err error) {
	if l.readEndsToo(err) {
		l.hangUp()
		return
	}
	l.socket.Abort()
	l.gate.shut()
	l.depart(err)
}

// depart hands the link to the hub, which has to know before the peer reads a closeFrame: it may be back at once.
func (l *link) depart(err error) {
	select {
	case l.hub.departures <- departure{link: l, err: err}:
	case <-l.session.done:
		l.session.discard()
	}
}

// readEndsToo says, after a write has failed, whether reading ended by itself and so is the cause: a read error fails
// writes too, and a peer that is gone may have left a close frame behind, which is still to be read.
func (l *link) readEndsToo(err error) bool {
	if l.readHasEnded() {
		return true
	}
	if isTimeout(err) {
		return false
	}
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-l.readDone:
		return true
	case <-l.session.done:
	case <-grace.C:
	}
	return false
}

// finish ends the link of a session that has ended, in the way of the ending: flush or not, the close frame, a short
// chance to answer it.
func (l *link) finish(batch *wire.Batch) {
	s := l.session
	var err error
	for err == nil && s.ending.flush && s.outbox.flush(batch) {
		_ = l.socket.Conn.SetWriteDeadline(s.flushBy)
		err = l.writeBatch(batch, l.socket.Conn)
	}
	s.discard()
	if err == nil {
		batch.AddControl(s.ending.closeFrame)
		_ = l.socket.Conn.SetWriteDeadline(s.flushBy)
		err = l.writeBatch(batch, l.socket.Conn)
	}
	if err == nil {
		grace := time.NewTimer(closeGrace)
		defer grace.Stop()
		select {
		case <-l.readDone:
			var closed *websocket.CloseError
			if l.readErr != nil && l.closeFrame != nil && !errors.As(l.readErr, &closed) {
				l.socket.Drain(time.Now().Add(closeGrace)) // the peer was still sending
			}
			return
		case <-grace.C:
		}
	}
	l.socket.Abort()
}

// allowWrite gives the next write writeWait, or nearly: while less than a sixteenth of that has passed, the deadline stays,
// since moving it is the dearest part of a small write after the system call. Once reading has ended the deadline is that of
// readEnded; looking at readDone last makes that hold whenever it ends. Writing fails at once where setting a deadline does.
func (l *link) allowWrite() {
	now, wait := time.Now(), l.hub.cfg.writeWait
	if l.writeBy.Sub(now) > wait-wait/16 {
		return
	}
	l.writeBy = now.Add(wait)
	_ = l.socket.Conn.SetWriteDeadline(l.writeBy)
	if l.readHasEnded() {
		_ = l.socket.Conn.SetWriteDeadline(now.Add(l.closeWait()))
	}
}

// writeBatch writes and empties a batch. Frames that the socket did not accept whole go back to the queue, for the next
// link.
func (l *link) writeBatch(batch *wire.Batch, w io.Writer) error {
	sent, err := batch.FlushTo(w)
	l.wrote(batch, sent, err)
	batch.Reset()
	return err
}

// wrote counts the messages that have been sent, the first of the batch, and puts the others back. It is a function by itself
// so that the stack is shallow while writing: a pump starts with 2 KiB of it.
func (l *link) wrote(batch *wire.Batch, sent int, err error) {
	s, cfg := l.session, l.hub.cfg
	messages := batch.Messages()
	for _, f := range messages[:sent] {
		cfg.metrics.MessageSent(s.RoomID(), s.id, f.Size)
	}
	switch {
	case err != nil:
		s.outbox.putBack(messages[sent:])
		l.hub.overBudget()
	case sent > 0:
		cfg.metrics.SendBufferUtilization(s.RoomID(), s.id, s.outbox.queued(), cfg.sendBufferSize)
	}
}
