package load

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/wspulse/server/benchmarks/internal/clock"
	"github.com/wspulse/server/benchmarks/internal/peers"
)

// The states of a connection.
const (
	connecting = iota // TCP
	upgrading         // waiting for the 101
	greeting          // waiting for the answer to the dialect's hello
	open
)

// A conn is one client.
type conn struct {
	// Fixed before the workers run.
	id   int
	room *room
	mute bool // it never reads once it is open

	fd      int // -1 when closed
	state   int
	started int64
	epoch   string // from the greeting, to come back with

	carry   []byte // the start of something whose rest is still to come
	left    int    // bytes left of the payload of the data frame that is being read
	size    int    // of that payload
	seeking bool   // for a stamp in it
	found   bool   // a stamp in it
	seq     uint32 // of the next message
	count   count  // of wspulse.v1
}

const (
	// The example of RFC 6455, section 1.3.
	clientKey = "dGhlIHNhbXBsZSBub25jZQ=="
	serverKey = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

	muteBuffer = 4096 // bytes that the socket of a mute connection takes in
)

// connectAll starts to connect all connections, as many at once as the set-up allows.
func (w *worker) connectAll() {
	w.connects.Reset()
	limit := len(w.conns)
	if rate := w.load.cfg.ConnectRate; rate > 0 {
		limit = max(1, rate/len(w.load.workers))
	}
	w.next = 0
	for range limit {
		w.connectNext()
	}
}

// connectNext starts to connect the next connection, if there is one.
func (w *worker) connectNext() {
	if w.next == len(w.conns) {
		return
	}
	c := w.conns[w.next]
	w.next++
	if err := w.dial(c, w.next-1); err != nil {
		w.lose(c, err)
	}
}

func (w *worker) dial(c *conn, place int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd, c.state, c.started = fd, connecting, clock.Now()
	c.carry, c.left, c.count = c.carry[:0], 0, count{}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	// Closing then resets, so that no port lingers in TIME_WAIT.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if c.mute {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, muteBuffer); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, w.load.server); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect: %w", err)
	}
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(place)})
}

func (w *worker) close(c *conn) {
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // which takes it out of the epoll set
		c.fd = -1
	}
}

// request asks for the upgrade once TCP is connected.
func (w *worker) request(c *conn) error {
	if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return fmt.Errorf("connect: %w", unix.Errno(code))
	}
	request := fmt.Sprintf("GET /ws?room=%s&id=c%d HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		peers.RoomName(int(c.room.index)), c.id, w.load.cfg.Server.Addr, clientKey, w.load.dialect.Offer())
	c.state = upgrading
	if err := w.write(c, []byte(request)); err != nil {
		return err
	}
	place := int32(c.id / len(w.load.workers))
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: place})
}

// upgraded reads the server's handshake and returns what follows it.
func (w *worker) upgraded(c *conn, b []byte) (rest []byte, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return b, nil
	}
	head := b[:end]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte(serverKey)) {
		return nil, fmt.Errorf("refused: %.40q", head)
	}
	hello := w.load.dialect.Hello
	if w.load.dialect.Protocol != "" {
		c.state = greeting
		return b[end+4:], nil
	}
	if hello == "" {
		w.up(c)
		return b[end+4:], nil
	}
	if c.epoch != "" {
		hello = fmt.Sprintf(w.load.dialect.Rejoin, c.epoch)
	}
	c.state = greeting
	return b[end+4:], w.write(c, newFrame([]byte(hello)).bytes)
}

// greeted reads the answer to the hello, in which there may be stamps.
func (w *worker) greeted(c *conn, payload []byte, now int64) error {
	if w.load.dialect.Protocol != "" {
		if !bytes.Contains(payload, []byte(`"hello"`)) {
			return fmt.Errorf("refused: %.80q", payload)
		}
		w.up(c)
		w.acknowledge(c)
		return nil
	}
	if !bytes.Contains(payload, []byte(`"connect"`)) || bytes.Contains(payload, []byte(`"error"`)) {
		return fmt.Errorf("refused: %.80q", payload)
	}
	if _, after, ok := bytes.Cut(payload, []byte(`"epoch":"`)); ok && w.load.cfg.Resumable {
		epoch, _, _ := bytes.Cut(after, []byte{'"'})
		c.epoch = string(epoch)
	}
	w.up(c)
	w.stamps(c, payload, now)
	return nil
}

// up counts a connection that is ready and starts the next one.
func (w *worker) up(c *conn) {
	c.state = open
	w.lastUp = clock.Now()
	w.connects.Add(w.lastUp - c.started)
	if c.mute {
		_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.fd, nil)
	}
	w.load.pending.Add(-1)
	if w.load.cfg.ConnectRate > 0 {
		w.connectNext()
	}
}

// write writes all of p, waiting for the socket where it has to.
func (w *worker) write(c *conn, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(c.fd, p)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}, 1000); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		default:
			p = p[n:]
		}
	}
	return nil
}
