package wire

import (
	"bufio"
	"crypto/sha1" // RFC 6455, section 4.2.2 asks for it; nothing is kept secret by it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
	keySize    = 16                                     // bytes of a decoded Sec-WebSocket-Key: RFC 6455, section 4.1
)

// CheckUpgrade says what is wrong with an opening handshake (RFC 6455, section 4.2.1).
func CheckUpgrade(r *http.Request) error {
	switch key := r.Header["Sec-Websocket-Key"]; {
	case r.Method != http.MethodGet:
		return fmt.Errorf("method %.20q, not GET", r.Method)
	case !r.ProtoAtLeast(1, 1):
		return fmt.Errorf("%s, older than HTTP/1.1", r.Proto)
	case !hasToken(r.Header["Connection"], "upgrade"):
		return errors.New("no token upgrade in Connection")
	case !hasToken(r.Header["Upgrade"], "websocket"):
		return errors.New("no token websocket in Upgrade")
	case len(r.Header["Sec-Websocket-Version"]) != 1 || r.Header.Get("Sec-Websocket-Version") != "13":
		return errors.New("Sec-WebSocket-Version is not 13")
	case len(key) != 1 || !validKey(key[0]):
		return fmt.Errorf("Sec-WebSocket-Key is not one value of %d bytes in base64", keySize)
	case r.ContentLength != 0:
		return errors.New("the request has a body") // it would be taken for frames
	}
	if !eachExtension(r.Header["Sec-Websocket-Extensions"], func(extension) bool { return true }) {
		return errors.New("Sec-WebSocket-Extensions is no list of extensions")
	}
	return nil
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

// Accept answers a handshake that CheckUpgrade has found to be in order, within wait, on the connection that net/http gave
// away. extensions are those that have been negotiated. It returns what the client has sent behind its request. Where it fails
// it closes the connection.
func Accept(conn net.Conn, buffered *bufio.Reader, r *http.Request, extensions string, wait time.Duration) (early []byte, err error) {
	if n := buffered.Buffered(); n > 0 {
		early = make([]byte, n)
		_, err = io.ReadFull(buffered, early)
	}
	if err == nil {
		err = conn.SetWriteDeadline(time.Now().Add(wait))
	}
	if err == nil {
		_, err = conn.Write(response(r.Header["Sec-Websocket-Key"][0], extensions))
	}
	if err == nil {
		err = conn.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		(&Socket{Conn: conn}).Abort()
		return nil, err
	}
	_ = conn.SetWriteDeadline(time.Time{}) // where this fails, writing does
	return early, nil
}

// response returns the response that opens a WebSocket (RFC 6455, section 4.2.2).
func response(key, extensions string) []byte {
	sum := sha1.Sum([]byte(key + acceptGUID))
	p := make([]byte, 0, 256)
	p = append(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	p = base64.StdEncoding.AppendEncode(p, sum[:])
	if extensions != "" {
		p = append(p, "\r\nSec-WebSocket-Extensions: "...)
		p = append(p, extensions...)
	}
	return append(p, "\r\n\r\n"...)
}
