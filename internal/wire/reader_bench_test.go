package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// streams are one message each, as a client sends it.
func streams() map[string][]byte {
	all := make(map[string][]byte)
	for _, size := range []int{64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20} {
		all[fmt.Sprintf("kind=frame/size=%d", size)] = clientFrame(0x81, bytes.Repeat([]byte("x"), size))
	}
	fragments := clientFrame(0x01, make([]byte, 1000))
	for range 62 {
		fragments = append(fragments, clientFrame(0x00, make([]byte, 1000))...)
	}
	all["kind=fragments/size=64000"] = append(fragments, clientFrame(0x80, make([]byte, 1000))...)
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		text := strings.Repeat(`{"event":"move","payload":{"x":12.5,"y":7,"who":"alice"}}`, size/57)
		all[fmt.Sprintf("kind=compressed/size=%d", size)] = clientFrame(0xC1, deflated(text))
	}
	return all
}

// A counter counts what it hands through.
type counter struct {
	io.Reader
	reads int
}

func (c *counter) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// What it costs to read a message that is there: reads/op are system calls on a socket.
func BenchmarkReader(b *testing.B) {
	for name, stream := range streams() {
		b.Run(name, func(b *testing.B) {
			src := &counter{Reader: &loop{stream: stream}}
			r := newReader(src, nil, 1024, 2<<20, true)
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(src.reads)/float64(b.N), "reads/op")
		})
	}
}

// The same over TCP, where the other side writes as fast as it can.
func BenchmarkReader_TCP(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer listener.Close()
			peer, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer peer.Close()
			conn, err := listener.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			go func() {
				frame := clientFrame(0x82, make([]byte, size))
				for err := error(nil); err == nil; {
					_, err = peer.Write(frame)
				}
			}()
			r := newReader(conn, nil, 1024, 2<<20, false)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
