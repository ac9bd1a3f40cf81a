package conformance

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"

	wspulse "github.com/wspulse/server"
)

// compressing lets the server compress whatever gets shorter by it.
var compressing = []wspulse.ServerOption{wspulse.WithCompression(6, 0)}

// deflateAnswer is what the server answers to deflateOffer: messages are compressed each by itself.
const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// emptyBlock is what RFC 7692, section 7.2.1 takes from the end of a message.
const emptyBlock = "\x00\x00\xff\xff"

// packed returns a message with its payload compressed, in blocks of that many bytes; 0: one block.
func packed(m frame, level, block int) frame {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		panic(err)
	}
	for rest := []byte(m.Payload); len(rest) > 0; {
		n := len(rest)
		if block > 0 {
			n = min(n, block)
		}
		_, _ = w.Write(rest[:n])
		if rest = rest[n:]; len(rest) > 0 {
			_ = w.Flush()
		}
	}
	_ = w.Flush()
	return deflated(m.First, strings.TrimSuffix(b.String(), emptyBlock))
}

// deflated is a frame that says that its payload is compressed.
func deflated(first byte, payload string) frame { return framed(first, payload).With(rsv1) }

// final returns s compressed into a block that says that it is the last one (RFC 7692, section 7.2.3.4).
func final(s string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

// inflated returns the message that was compressed.
func inflated(f frame) (frame, error) {
	if f.IsControl() {
		return f, errors.New("a compressed control frame")
	}
	data, err := io.ReadAll(flate.NewReader(strings.NewReader(f.Payload + emptyBlock + "\x01" + emptyBlock)))
	return framed(f.First&^rsv1, string(data)), err
}

// deflateOffers has offers and their answers.
func deflateOffers() (cases []testCase) {
	for offer, answer := range map[string]string{
		"permessage-deflate":                                                                         deflateAnswer,
		"permessage-deflate; client_max_window_bits":                                                 deflateAnswer,
		"permessage-deflate; client_max_window_bits=8":                                               deflateAnswer,
		"permessage-deflate; client_max_window_bits=15":                                              deflateAnswer,
		`permessage-deflate; client_max_window_bits="15"`:                                            deflateAnswer,
		"permessage-deflate; client_max_window_bits=7":                                               "",
		"permessage-deflate; client_max_window_bits=16":                                              "",
		"permessage-deflate; client_max_window_bits=+9":                                              "",
		"permessage-deflate; client_max_window_bits=010":                                             "",
		"permessage-deflate; server_max_window_bits=15":                                              deflateAnswer + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=9":                                               "", // which the server cannot do, and so must decline
		"permessage-deflate; server_max_window_bits":                                                 "",
		"permessage-deflate; server_no_context_takeover":                                             deflateAnswer,
		"permessage-deflate; client_no_context_takeover":                                             deflateAnswer,
		"permessage-deflate; client_no_context_takeover=":                                            "400",
		"permessage-deflate; client_no_context_takeover=1; server_no_context_takeover":               "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":                 "",
		"permessage-deflate; unknown":                                                                "",
		"permessage-deflate; server_max_window_bits=9, permessage-deflate":                           deflateAnswer,
		"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=15":                 deflateAnswer + "; server_max_window_bits=15",
		"x-webkit-deflate-frame, permessage-deflate":                                                 deflateAnswer,
		"x-webkit-deflate-frame":                                                                     "",
		"permessage-deflated":                                                                        "",
		"permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Extensions: permessage-deflate": deflateAnswer,
		"unknown\r\nSec-WebSocket-Extensions: permessage-deflate":                                    deflateAnswer,
	} {
		if name := fmt.Sprintf("%q", offer); answer == "400" {
			cases = append(cases, refuses(name, extensions(offer)))
		} else {
			cases = append(cases, testCase{name: name, opening: &opening{request: extensions(offer), answers: answer}})
		}
	}
	return cases
}

// compressed has compressed messages, those of RFC 7692, section 7.2.3 among them.
func compressed() (cases []testCase) {
	for _, size := range []int{0, 1, 16, 126, 1024, 65535, 65536, mib} {
		words := largeText()[:size]
		if size%16 != 0 { // within a rune
			words = xs(size)
		}
		for _, m := range []frame{text(words), blob(largeBinary()[:size])} {
			for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.BestCompression, flate.HuffmanOnly} {
				name := fmt.Sprintf("%s of %d bytes at level %d", kind(m), size, level)
				whole := packed(m, level, 0)
				cases = append(cases, echoes(name, m, send(whole)),
					echoes(name+" in ten frames", m, send(fragments(whole, max(1, len(whole.Payload)/9))...)))
				if size > 0 && size <= 1024 {
					cases = append(cases, echoes(name+", byte by byte", m, send(whole).in(1)),
						echoes(name+" in blocks of 7 bytes", m, send(packed(m, level, 7))),
						echoes(name+" in frames of one byte", m, send(fragments(whole, 1)...)))
				}
			}
		}
	}
	hello := text("Hello")
	hi := func(payload string) frame { return deflated(fin|opText, payload) }
	whole := packed(hello, flate.BestCompression, 0)
	pieces := fragments(whole, 3)
	split := func(name string, parts ...sendable) testCase { return echoes(name, hello, send(parts...)) }
	return append(cases,
		split("Hello of the RFC", hi("\xf2\x48\xcd\xc9\xc9\x07\x00")),
		split("Hello of the RFC in two frames", deflated(opText, "\xf2\x48\xcd"), finish("\xc9\xc9\x07\x00")),
		split("Hello without compression", hi("\x00\x05\x00\xfa\xffHello\x00")),
		split("Hello in a final block", hi("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")),
		split("Hello in two blocks", hi("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")),
		split("Hello in two final blocks", hi(final("Hel")+final("lo")+"\x00")),
		split("Hello behind an empty block", hi("\x00\x00\x00\xff\xff\xf2\x48\xcd\xc9\xc9\x07\x00")),
		split("ping between compressed fragments", pieces[0], pong("a"), pieces[1], pong("b"), pieces[2]),
		split("empty frames among compressed ones", pieces[0], more(""), pieces[1], more(""), pieces[2]),
		testCase{name: "compressed and plain messages in turn", talk: one(send(whole, hello, whole, hello).get(hello, hello, hello, hello))},
		testCase{name: "no context is taken over", talk: []exchange{send(whole).get(hello), send(hi("\xf2\x00\x11\x00\x00"))}, fails: 1007},
		fails("compressed continuation", 1002, deflated(opText, "\xf2\x48\xcd"), deflated(fin, "\xc9\xc9\x07\x00")),
		fails("compressed ping", 1002, ping("").With(rsv1)),
		fails("compressed close frame", 1002, bye(1000, "").With(rsv1)),
		fails("another reserved bit beside it", 1002, hi("\x00").With(rsv2)),
		fails("garbage", 1007, hi("\xff\xff\xff")),
		fails("plain text that says it is compressed", 1007, hello.With(rsv1)),
		fails("a message that is cut", 1007, hi("\xf2\x48\xcd")),
		fails("garbage behind a final block", 1007, hi(final("Hello")+"\xff\xff")),
		fails("text that is not UTF-8 once it is inflated", 1007, packed(text("Hello\xff"), flate.BestSpeed, 0)),
		echoes("binary that is not UTF-8", blob("Hello\xff"), send(packed(blob("Hello\xff"), flate.BestSpeed, 0))),
	)
}

// bombs has compressed messages around a limit of 1 MiB, which is that of what they inflate to.
func bombs() []testCase {
	zeros := func(n int) frame { return packed(blob(strings.Repeat("\x00", n)), flate.BestCompression, 0) }
	noise := packed(blob(largeBinary()[:mib]), flate.NoCompression, 2048)
	return []testCase{
		echoes("as large as the limit", blob(strings.Repeat("\x00", mib)), send(zeros(mib))),
		echoes("as large as the limit, and larger on the wire", blob(largeBinary()[:mib]), send(noise)),
		fails("a byte more", 1009, zeros(mib+1)),
		fails("16 MiB", 1009, zeros(messageSize)),
		fails("16 MiB in frames of 100 bytes", 1009, fragments(zeros(messageSize), 100)...),
		fails("2 MiB on the wire", 1009, packed(blob(largeBinary()[:2*mib]), flate.NoCompression, 0)),
		fails("2 MiB on the wire that inflate to nothing", 1009, deflated(fin|opBinary, strings.Repeat("\x00\x00\x00\xff\xff", 2*mib/5))),
		fails("16 MiB in final blocks", 1009, deflated(fin|opBinary, strings.Repeat(final(strings.Repeat("x", mib/2)), 32))),
		fails("100,000 empty final blocks", 1008, deflated(fin|opBinary, strings.Repeat("\x03\x00", 100_000))),
	}
}
