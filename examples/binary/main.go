// Binary speaks a format of its own instead of JSON (see Codec), and answers each frame with the checksum of its
// payload. Run it, and talk to it from the console of a browser:
//
//	go run ./examples/binary
//
//	ws = new WebSocket("ws://127.0.0.1:8080/ws")
//	ws.binaryType = "arraybuffer"
//	ws.onmessage = (message) => console.log(new Uint8Array(message.data))
//	ws.send(new Uint8Array([1, 55, 5, 99, 114, 99, 51, 50, 2, 104, 105])) // ID "7", event "crc32", payload "hi"
//
// The answer has the same ID and event, and four bytes of payload.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"go.uber.org/zap"

	wspulse "github.com/wspulse/server"
)

func newServer(logger *zap.Logger) wspulse.Server {
	return wspulse.NewServer(
		func(*http.Request) (roomID, connectionID string, err error) { return "lobby", "", nil }, // a random ID each
		wspulse.WithLogger(logger),
		wspulse.WithCodec(Codec{}),
		wspulse.WithMaxMessageSize(64<<10),
		wspulse.WithOnMessage(func(c wspulse.Connection, f wspulse.Frame) {
			if err := c.Send(reply(f)); err != nil {
				log.Printf("%s: no answer: %v", c.ID(), err)
			}
		}),
	)
}

func reply(f wspulse.Frame) wspulse.Frame {
	if f.Event != "crc32" {
		return wspulse.Frame{ID: f.ID, Event: "error", Payload: []byte("no such event")}
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(f.Payload))
	return wspulse.Frame{ID: f.ID, Event: f.Event, Payload: sum}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	server := newServer(zap.Must(zap.NewDevelopment(zap.AddStacktrace(zap.FatalLevel))))
	mux := http.NewServeMux()
	mux.Handle("GET /ws", server)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(interrupt, func() {
		server.Close()
		_ = web.Close()
	})
	log.Printf("listening on ws://%v/ws", listener.Addr())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
