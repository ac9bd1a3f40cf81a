package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
	"go.uber.org/zap/zaptest"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/examples/internal/program"
	"github.com/wspulse/server/wstest"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func TestMain_Addr(t *testing.T) { program.TestAddr(t, "/ws") }

func TestBinary_AnswersAndOutlivesBadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := wstest.NewServer(t, newServer(zaptest.NewLogger(t))).Dial("/", wstest.WithCodec(Codec{}))
		client.Send(wspulse.Frame{ID: "7", Event: "crc32", Payload: []byte("hi")})
		if err := client.WebSocket.WriteMessage(websocket.BinaryMessage, []byte("\x09no")); err != nil {
			t.Fatal(err)
		}
		client.Send(wspulse.Frame{ID: "8", Event: "sing"})
		if f := client.Receive(); f.ID != "7" || f.Event != "crc32" || string(f.Payload) != "\xd8\x93\x2a\xac" {
			t.Errorf("got %q %q %q", f.ID, f.Event, f.Payload)
		}
		if f := client.Receive(); f.ID != "8" || f.Event != "error" || string(f.Payload) != "no such event" {
			t.Errorf("got %q %q %q", f.ID, f.Event, f.Payload)
		}
	})
}

func TestCodec_Encodes(t *testing.T) {
	got, err := Codec{}.Encode(wspulse.Frame{ID: "7", Event: "crc32", Payload: []byte("hi")})
	if want := "\x01\x37\x05crc32\x02hi"; err != nil || string(got) != want {
		t.Errorf("got %q, error %v, want %q", got, err, want)
	}
}

func TestCodec_DecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want error
		text string
	}{
		"nothing":         {"", errTruncated, "binary codec: ID: the message ends inside it"},
		"half a length":   {"\x80", errTruncated, "ID"},
		"half an event":   {"\x01a\x05eve", errTruncated, "event"},
		"no payload":      {"\x01a\x01b", errTruncated, "payload"},
		"left over bytes": {"\x00\x00\x00!", errTrailing, "left over"},
		"a long zero":     {"\x80\x00\x00\x00", errOverlong, "shortest"},
		"a long one":      {"\x81\x00a\x00\x00", errOverlong, "shortest"},
		"over the bound":  {"\x81\x80\x40", errTooLong, "longer than 1048576 bytes"},
		"over 64 bits":    {strings.Repeat("\xff", 11), errTooLong, "longer"},
	} {
		_, err := Codec{}.Decode([]byte(c.data))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
	}
	if _, err := (Codec{}).Encode(wspulse.Frame{Payload: make([]byte, maxField+1)}); !errors.Is(err, errTooLong) {
		t.Errorf("encoding a payload over the bound: got error %v, want %v", err, errTooLong)
	}
}

// FuzzCodec: what Decode accepts, Encode makes again, byte for byte.
func FuzzCodec(f *testing.F) {
	f.Add([]byte("\x01a\x01b\x01c"))
	f.Add([]byte("\x00\x00\x80\x01" + strings.Repeat("x", 128)))
	f.Add([]byte("\x80\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		message := bytes.Clone(data)
		frame, err := Codec{}.Decode(message)
		if err != nil {
			return
		}
		clear(message) // the frame must not depend on it
		encoded, err := Codec{}.Encode(frame)
		if err != nil || !bytes.Equal(encoded, data) {
			t.Errorf("%q became %q, error %v", data, encoded, err)
		}
	})
}
