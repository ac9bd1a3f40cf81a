package wire

import (
	"bufio"
	"bytes"
	"crypto/sha1" // RFC 6455, section 4.2.2 asks for it; nothing is kept secret by it
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
	keySize    = 16                                     // bytes of a decoded Sec-WebSocket-Key: RFC 6455, section 4.1
)

// A Refusal is what is wrong with an opening handshake, and what helps.
type Refusal struct {
	Cause   string // one of a few texts
	Found   string // what the request has in that place; empty where that tells nothing
	Cure    string
	Version bool // the client speaks another version
}

// Error says all of it, in some 300 bytes at the most.
func (f *Refusal) Error() string {
	if f.Found == "" {
		return f.Cause + ": " + f.Cure
	}
	return fmt.Sprintf("%s (it is %.20q): %s", f.Cause, f.Found, f.Cure)
}

// What helps. The directives are those of nginx; Upgrade and Connection go no further than to a proxy unless it is
// told.
const (
	useHTTP1 = "serve WebSockets over HTTP/1.1"
	nginx    = "(nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; " +
		"proxy_set_header Connection upgrade;)"
	useClient = "the client must open a WebSocket as RFC 6455, section 4.1 says"
)

// CheckUpgrade says what is wrong with an opening handshake (RFC 6455, section 4.2.1). It returns nil for one that is
// in order.
func CheckUpgrade(r *http.Request) *Refusal {
	header := func(key string) string { return strings.Join(r.Header[key], ", ") }
	notPassed := func(key string) string {
		return "a proxy has not passed " + key + " " + nginx + ", or the client is none for WebSockets"
	}
	switch key := r.Header["Sec-Websocket-Key"]; {
	case r.ProtoMajor > 1:
		return &Refusal{Cause: fmt.Sprintf("HTTP/%d request", r.ProtoMajor), Cure: useHTTP1 + ", since RFC 8441 is not " +
			"supported; a proxy must use that towards the server, and an http.Server whose TLSNextProto is an empty map, or " +
			"whose Protocols has HTTP1 alone, offers nothing newer"}
	case !r.ProtoAtLeast(1, 1):
		return &Refusal{Cause: "the request is older than HTTP/1.1", Found: r.Proto,
			Cure: useHTTP1 + "; a proxy must use that towards the server " + nginx}
	case r.Method != http.MethodGet:
		return &Refusal{Cause: "the method is not GET", Found: r.Method, Cure: useClient}
	case !hasToken(r.Header["Connection"], "upgrade"):
		return &Refusal{Cause: "no token upgrade in Connection", Found: header("Connection"), Cure: notPassed("Connection")}
	case !hasToken(r.Header["Upgrade"], "websocket"):
		return &Refusal{Cause: "no token websocket in Upgrade", Found: header("Upgrade"), Cure: notPassed("Upgrade")}
	case len(r.Header["Sec-Websocket-Version"]) != 1 || r.Header.Get("Sec-Websocket-Version") != "13":
		return &Refusal{Cause: "Sec-WebSocket-Version is not 13", Found: header("Sec-Websocket-Version"), Version: true,
			Cure: "the client must speak the version of RFC 6455"}
	case len(key) != 1 || !validKey(key[0]):
		cause := fmt.Sprintf("Sec-WebSocket-Key is not one value of %d bytes in base64", keySize)
		return &Refusal{Cause: cause, Cure: useClient}
	case r.ContentLength != 0: // it would be taken for frames
		return &Refusal{Cause: "the request has a body", Cure: useClient}
	}
	if !eachExtension(r.Header["Sec-Websocket-Extensions"], func(extension) bool { return true }) {
		return &Refusal{Cause: "Sec-WebSocket-Extensions is no list of extensions", Cure: useClient}
	}
	return nil
}

// Elements returns the elements of a comma-separated list, which may be in several headers.
func Elements(lists []string) (elements []string) {
	for _, list := range lists {
		for element := range strings.SplitSeq(list, ",") {
			elements = append(elements, strings.Trim(element, " \t"))
		}
	}
	return elements
}

// hasToken says whether a comma-separated list contains token, in lower or upper case.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for element := range strings.SplitSeq(list, ",") {
			element = strings.Trim(element, " \t")
			if len(element) == len(token) && strings.EqualFold(element, token) { // as long: no letters beyond ASCII
				return true
			}
		}
	}
	return false
}

func validKey(key string) bool {
	if len(key) != base64.StdEncoding.EncodedLen(keySize) {
		return false
	}
	decoded, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(decoded) == keySize
}

// Chosen is what the server chooses of what the client offers, and says besides. Empty is none of it.
type Chosen struct {
	Protocol   string      // RFC 6455, section 1.9
	Extensions string      // the same, section 9
	Header     http.Header // cookies and the like; what belongs to the handshake or to a body is left out
}

// Accept answers a handshake that CheckUpgrade has found to be in order, within wait, on the connection that net/http
// gave away. chosen is what has been negotiated. It returns what the client has sent behind its request. Where it fails
// it closes the connection. It comes before all other writes, and clears the deadline that whoever gave the connection
// away may have left.
func (s *Socket) Accept(buffered *bufio.Reader, r *http.Request, chosen Chosen, wait time.Duration) (
	early []byte, err error) {
	if n := buffered.Buffered(); n > 0 {
		early = make([]byte, n)
		_, err = io.ReadFull(buffered, early)
	}
	if err == nil {
		err = s.writeWithin(response(r.Header["Sec-Websocket-Key"][0], chosen), wait)
	}
	if err != nil {
		s.Abort()
		return nil, err
	}
	return early, nil
}

// writeWithin writes p within wait, however much of it the peer takes meanwhile.
func (s *Socket) writeWithin(p []byte, wait time.Duration) error {
	n, err := s.TryWrite(p)
	if err == nil && n < len(p) {
		if err = s.Conn.SetWriteDeadline(time.Now().Add(wait)); err == nil {
			_, err = s.Conn.Write(p[n:])
		}
	}
	_ = s.Conn.SetWriteDeadline(time.Time{}) // where this fails, writing does
	return err
}

// response returns the response that opens a WebSocket (RFC 6455, section 4.2.2).
func response(key string, chosen Chosen) []byte {
	sum := sha1.Sum([]byte(key + acceptGUID))
	p := make([]byte, 0, 256)
	p = append(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "...)
	p = base64.StdEncoding.AppendEncode(p, sum[:])
	if chosen.Protocol != "" {
		p = append(append(p, "\r\nSec-WebSocket-Protocol: "...), chosen.Protocol...)
	}
	if chosen.Extensions != "" {
		p = append(append(p, "\r\nSec-WebSocket-Extensions: "...), chosen.Extensions...)
	}
	return append(appendHeader(append(p, "\r\n"...), chosen.Header), "\r\n"...)
}

// appendHeader appends what an answer without a body says besides the handshake, as net/http writes it: without a name
// that is none, and with spaces for the line breaks in a value.
func appendHeader(p []byte, header http.Header) []byte {
	if len(header) == 0 {
		return p
	}
	exclude := make(map[string]bool)
	for key := range header {
		switch name := http.CanonicalHeaderKey(key); name {
		case "Upgrade", "Connection", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Trailer":
			exclude[key] = true
		default:
			exclude[key] = strings.HasPrefix(name, "Sec-Websocket-")
		}
	}
	b := bytes.NewBuffer(p)
	_ = header.WriteSubset(b, exclude) // a Buffer takes everything
	return b.Bytes()
}
