package conformance

import (
	"bufio"
	"crypto/sha1" // RFC 6455, section 4.2.2 asks for it
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The ordinary opening request, with the key of RFC 6455, section 1.3.
const (
	requestLine = "GET /text HTTP/1.1\r\n"
	host        = "Host: server\r\n"
	connection  = "Connection: Upgrade\r\n"
	upgrade     = "Upgrade: websocket\r\n"
	version     = "Sec-WebSocket-Version: 13\r\n"
	keyValue    = "dGhlIHNhbXBsZSBub25jZQ=="
	key         = "Sec-WebSocket-Key: " + keyValue + "\r\n"
	ordinary    = requestLine + host + connection + upgrade + version + key + "\r\n"

	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
)

// instead returns the ordinary request with something else in the place of old.
func instead(old, by string) string {
	if !strings.Contains(ordinary, old) {
		panic("the ordinary request has no " + old)
	}
	return strings.Replace(ordinary, old, by, 1)
}

// plus returns the ordinary request with further header lines, each with its CRLF.
func plus(lines string) string { return instead(key, key+lines) }

// An opening is an opening handshake.
type opening struct {
	request string
	chop    int        // bytes of each write; 0: one write
	early   []sendable // right behind the request, in the same write
	answers string     // Sec-WebSocket-Extensions of the answer

	status string // how the line of a refusal begins; "": the request is accepted
	tells  bool   // a refusal says which version the server speaks
	ends   bool   // a refusal ends the TCP connection; otherwise the next request on it is accepted
}

// accepts is the case of a request that opens a WebSocket.
func accepts(name, request string) testCase {
	return testCase{name: name, opening: &opening{request: request}}
}

const badRequest = "HTTP/1.1 400 Bad Request"

// refuses is the case of a request that the server refuses, in HTTP.
func refuses(name, request string) testCase {
	return testCase{name: name, opening: &opening{request: request, status: badRequest}}
}

// refusesFirst is the case of a request that net/http refuses, or answers only once.
func refusesFirst(name, request, status string) testCase {
	return testCase{name: name, opening: &opening{request: request, status: status, ends: true}}
}

// open sends a request and reads the answer. It says whether a WebSocket has opened.
func (p *peer) open(o *opening) bool {
	p.T.Helper()
	p.write(o.chop, append([]sendable{raw(o.request)}, o.early...)...)
	request, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(o.request))) // nil where it is no HTTP
	response, err := http.ReadResponse(p.In, request)
	if err != nil {
		p.T.Fatalf("no response: %v", err)
	}
	line := response.Proto + " " + response.Status
	if o.status == "" {
		p.checkAccepted(line, response.Header, request.Header.Get("Sec-WebSocket-Key"), o.answers)
		p.inflates = o.answers != ""
		return true
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if !strings.HasPrefix(line, o.status) {
		p.T.Errorf("the status line is %q, want %q", line, o.status)
	}
	if told := response.Header.Get("Sec-WebSocket-Version"); o.tells && told != "13" { // RFC 6455, section 4.4
		p.T.Errorf("the server says that it speaks version %q", told)
	}
	if o.ends {
		p.ExpectEnd()
	} else if p.open(&opening{request: ordinary}) {
		p.expectHealth(opText)
	}
	return false
}

// checkAccepted compares an answer with RFC 6455, section 4.2.2. The server speaks no subprotocol.
func (p *peer) checkAccepted(line string, got http.Header, key, extensions string) {
	p.T.Helper()
	if want := "HTTP/1.1 101 Switching Protocols"; line != want {
		p.T.Fatalf("the status line is %q, want %q", line, want)
	}
	sum := sha1.Sum([]byte(key + acceptGUID))
	want := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {base64.StdEncoding.EncodeToString(sum[:])},
	}
	if extensions != "" {
		want["Sec-Websocket-Extensions"] = []string{extensions}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.T.Errorf("the answer has the header %v, want %v", got, want)
	}
}

func methods() (cases []testCase) {
	cases = []testCase{
		accepts("the RFC's own", ordinary),
		accepts("HTTP/1.2", instead("HTTP/1.1", "HTTP/1.2")),
		refusesFirst("HTTP/1.0", instead("HTTP/1.1", "HTTP/1.0"), "HTTP/1.0 400 Bad Request"),
		refusesFirst("HTTP/0.9", instead("HTTP/1.1", "HTTP/0.9"), "HTTP/1.1 505 HTTP Version Not Supported"),
		refusesFirst("HTTP/2.0", instead("HTTP/1.1", "HTTP/2.0"), "HTTP/1.1 505 HTTP Version Not Supported"),
		refusesFirst("no HTTP version", instead(" HTTP/1.1", ""), badRequest),
		refusesFirst("no HTTP", "hello\r\n\r\n", badRequest),
		refuses("POST with a body", strings.Replace(plus("Content-Length: 2\r\n"), "GET", "POST", 1)+"{}"),
	}
	for _, method := range []string{"POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "BREW"} {
		cases = append(cases, refuses("method "+method, instead("GET", method)))
	}
	for _, value := range []string{"0", "8", "12", "14", "13, 8", "8, 13", "13,13", "", "+13", "013", "13.0", "thirteen"} {
		c := refuses(fmt.Sprintf("version %q", value), instead("Version: 13", "Version: "+value))
		c.opening.tells = true
		cases = append(cases, c)
	}
	for name, lines := range map[string]string{
		"no version": "", "two version lines": version + version, "two different version lines": version + "Sec-WebSocket-Version: 8\r\n",
	} {
		c := refuses(name, instead(version, lines))
		c.opening.tells = true
		cases = append(cases, c)
	}
	return cases
}

func tokens() []testCase {
	upgradeTo := func(value string) string { return instead(upgrade, "Upgrade: "+value+"\r\n") }
	connectionOf := func(value string) string { return instead(connection, "Connection: "+value+"\r\n") }
	return []testCase{
		refuses("Upgrade of a long s", upgradeTo("web\u017focket")),
		refuses("Upgrade with the sign of Kelvin", upgradeTo("websoc\u212aet")),
		accepts("Upgrade in mixed case", upgradeTo("WebSocket")),
		accepts("Upgrade in upper case", upgradeTo("WEBSOCKET")),
		accepts("Upgrade first in a list", upgradeTo("websocket, h2c")),
		accepts("Upgrade last in a list", upgradeTo("h2c,\twebsocket")),
		accepts("Upgrade in a list with empty elements", upgradeTo(", ,websocket,,")),
		accepts("Upgrade in the second line", instead(upgrade, "Upgrade: h2c\r\n"+upgrade)),
		accepts("Connection in lower case", connectionOf("upgrade")),
		accepts("Connection in upper case", connectionOf("UPGRADE")),
		accepts("Connection in a list", connectionOf("keep-alive, Upgrade")),
		accepts("Connection in a list without spaces", connectionOf("keep-alive,Upgrade,TE")),
		accepts("Connection in the second line", instead(connection, "Connection: keep-alive\r\n"+connection)),
		accepts("Connection in a folded line", connectionOf("keep-alive,\r\n Upgrade")), // RFC 9112, section 5.2 lets it
		accepts("names of fields in other cases", instead("Upgrade: websocket\r\nSec-WebSocket", "uPGRADE: websocket\r\nsec-websocket")),
		accepts("values between spaces and tabs", upgradeTo(" \t websocket \t ")),
		refuses("no Upgrade", instead(upgrade, "")),
		refuses("Upgrade of nothing", upgradeTo("")),
		refuses("Upgrade to something else", upgradeTo("h2c")),
		refuses("Upgrade to part of the token", upgradeTo("web")),
		refuses("Upgrade to more than the token", upgradeTo("websockets")),
		refuses("Upgrade to a version of it", upgradeTo("websocket/13")),
		refuses("Upgrade between quotes", upgradeTo(`"websocket"`)),
		refuses("Upgrade in a list without a comma", upgradeTo("h2c websocket")),
		refuses("no Connection", instead(connection, "")),
		refuses("Connection of nothing", connectionOf("")),
		refuses("Connection without the token", connectionOf("keep-alive")),
		refuses("Connection with part of the token", connectionOf("up")),
		refuses("Connection with more than the token", connectionOf("upgraded")),
		refuses("Connection with the other's token", connectionOf("websocket")),
		refuses("neither Upgrade nor Connection", instead(connection+upgrade, "")),
		refuses("an ordinary GET", requestLine+host+"\r\n"),
	}
}

func keys() []testCase {
	with := func(value string) string { return instead(keyValue, value) }
	return []testCase{
		accepts("key of zeros", with("AAAAAAAAAAAAAAAAAAAAAA==")),
		accepts("key with plus and slash", with("+/+/+/+/+/+/+/+/+/+/+w==")),
		accepts("key between spaces", with("  "+keyValue+" \t")),
		accepts("key whose unused bits are set", with("dGhlIHNhbXBsZSBub25jZf==")), // RFC 4648, section 3.5 lets it
		refuses("no key", instead(key, "")),
		refuses("empty key", with("")),
		refuses("two keys", instead(key, key+"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")),
		refuses("the same key twice", instead(key, key+key)),
		refuses("two keys in a list", with(keyValue+", "+keyValue)),
		refuses("key of 1 byte", with("AA==")),
		refuses("key of 15 bytes", with("dGhlIHNhbXBsZSBub25j")),
		refuses("key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZWE=")),
		refuses("key of 18 bytes", with("dGhlIHNhbXBsZSBub25jZWFh")),
		refuses("key of 32 bytes", with("dGhlIHNhbXBsZSBub25jZWRHaGxJSE5oYlhCbFpTQnU=")),
		refuses("key of 48 KiB", with(strings.Repeat("A", 64<<10))),
		refuses("key without its padding", with("dGhlIHNhbXBsZSBub25jZQ")),
		refuses("key with half of its padding", with("dGhlIHNhbXBsZSBub25jZQ=")),
		refuses("key with padding in the middle", with("dGhlIHNhbXBs==SBub25jZQQ")),
		refuses("key of padding", with("========================")),
		refuses("key that is not base64", with("dGhlIHNhbXBsZSBub25j*Q==")),
		refuses("key in the alphabet for URLs", with("-_-_-_-_-_-_-_-_-_-_-w==")),
		refuses("key with a space in it", with("dGhlIHNhbXBs ZSBub25jQ==")),
		refuses("key between quotes", with(`"`+keyValue+`"`)),
		refuses("key that is not ASCII", with("dGhlIHNhbXBsZSBub25jäQ==")),
	}
}

const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

// extensions returns the ordinary request with an offer.
func extensions(offer string) string { return plus("Sec-WebSocket-Extensions: " + offer + "\r\n") }

// offers are extensions and subprotocols, none of which the server speaks: it must not answer any.
func offers() []testCase {
	protocols := func(value string) string { return plus("Sec-WebSocket-Protocol: " + value + "\r\n") }
	cases := []testCase{
		accepts("compression", plus(deflateOffer)),
		accepts("unknown extension", extensions("x-unknown")),
		accepts("unknown extension with parameters", extensions(`x-unknown; a; b=1; c="2", x-other`)),
		accepts("extensions in two lines", plus(deflateOffer+"Sec-WebSocket-Extensions: x-unknown\r\n")),
		accepts("compression with a window of 99", extensions("permessage-deflate; client_max_window_bits=99")),
		accepts("compression with an unknown parameter", extensions("permessage-deflate; x-unknown=1")),
		accepts("compression with a parameter twice",
			extensions("permessage-deflate; server_no_context_takeover; server_no_context_takeover")),
		accepts("a thousand extensions", extensions(strings.Repeat("x-unknown, ", 999)+"x-unknown")),
		accepts("unknown subprotocol", protocols("chat")),
		accepts("unknown subprotocols", protocols("chat, superchat")),
		accepts("subprotocols in two lines", plus("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n")),
		accepts("empty subprotocol", protocols("")),
		accepts("subprotocol of 64 KiB of spaces", protocols(strings.Repeat(" ", 64<<10))),
		accepts("subprotocols of 64 KiB of commas", protocols(strings.Repeat(",", 64<<10))),
		accepts("subprotocol that is no token", protocols("ch@t[]{}")),
	}
	for _, value := range []string{
		";", "=", "; ; ;", "permessage-deflate;", "permessage-deflate; =15", "permessage-deflate; client_max_window_bits=",
		`permessage-deflate; client_max_window_bits="15`, "permessage deflate", "permessage-deflate; a b", "[permessage-deflate]",
	} {
		cases = append(cases, refuses("broken extensions "+value, extensions(value)))
	}
	return cases
}

// requests are of other forms than the ordinary one.
func requests() []testCase {
	chopped := accepts("byte by byte", ordinary)
	chopped.opening.chop = 1
	longURI := instead("/text", "/text?"+strings.Repeat("x", 64<<10))
	return []testCase{
		chopped,
		accepts("absolute URI", instead("/text", "http://server/text")),
		accepts("absolute URI of a WebSocket", instead("/text", "ws://server/text")),
		accepts("URI with a query", instead("/text", "/text?a=b&c=%20")),
		accepts("URI of 64 KiB", longURI),
		accepts("2,000 lines", plus(manyLines(2000))),
		accepts("Content-Length of 0", plus("Content-Length: 0\r\n")),
		accepts("any origin", plus("Origin: http://elsewhere.example\r\n")),
		accepts("origin null", plus("Origin: null\r\n")),
		accepts("lines that end with LF", strings.ReplaceAll(ordinary, "\r\n", "\n")), // RFC 9112, section 2.2 lets it
		refuses("body", plus("Content-Length: 5\r\n")+"hello"),
		refuses("body that looks like a frame", plus("Content-Length: 11\r\n")+string(text("hello").AppendTo(nil))),
		refuses("body in chunks", plus("Transfer-Encoding: chunked\r\n")+"5\r\nhello\r\n0\r\n\r\n"),
		refusesFirst("no Host", instead(host, ""), badRequest),
		refusesFirst("two Hosts", instead(host, host+host), badRequest),
		refusesFirst("line without a colon", plus("nonsense\r\n"), badRequest),
		refusesFirst("space before a colon", instead("Upgrade:", "Upgrade :"), badRequest),
		refusesFirst("NUL in a line", plus("X: \x00\r\n"), badRequest),
		refusesFirst("Content-Length that is no number", plus("Content-Length: -1\r\n"), badRequest),
		refusesFirst("lines of more than 1 MiB", plus(manyLines(20000)), "HTTP/1.1 431 Request Header Fields Too Large"),
	}
}

// manyLines returns header lines of some 58 bytes each.
func manyLines(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "X-Line-%d: %s\r\n", i, strings.Repeat("x", 40))
	}
	return lines.String()
}

// early is what a client sends before it has read the answer.
func early() []testCase {
	after := func(name string, wants []frame, parts ...sendable) testCase {
		return testCase{name: name, opening: &opening{request: ordinary, early: parts}, talk: one(send().get(wants...))}
	}
	chopped := after("a message, byte by byte", []frame{text("Hello")}, text("Hello"))
	chopped.opening.chop = 1
	cut := after("half a frame", nil, raw(text("Hello").AppendTo(nil)[:7]))
	cut.talk = one(send(raw(text("Hello").AppendTo(nil)[7:])).get(text("Hello")))
	half := after("half a message", nil, begin("Hel"))
	half.talk = one(send(finish("lo")).get(text("Hello")))
	broken := after("a broken frame", nil, text("").With(rsv1))
	broken.fails = 1002
	closes := after("a close frame", nil, bye(3000, ""))
	closes.closes = 3000
	long := text(strings.Repeat("x", 10000))
	return []testCase{
		chopped, cut, half, broken, closes,
		after("a message", []frame{text("Hello")}, text("Hello")),
		after("an empty message", []frame{text("")}, text("")),
		after("a ping", []frame{pong("Hello")}, ping("Hello")),
		after("three messages and a ping", []frame{text("a"), text("b"), text("c"), pong("d")},
			text("a"), text("b"), text("c"), ping("d")),
		after("a message in fragments", []frame{text("Hello")}, begin("Hel"), finish("lo")),
		after("more than net/http buffers", []frame{long, long}, long, long),
	}
}
