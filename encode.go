package wspulse

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	core "github.com/wspulse/core"
	"github.com/wspulse/server/internal/control"
	"github.com/wspulse/server/internal/envelope"
	"github.com/wspulse/server/internal/wire"
)

// jsonCodec is JSONCodec, also when somebody has set that to another.
var jsonCodec = core.JSONCodec

// setCodec takes the short way, by internal/envelope, where the codec is JSONCodec itself.
func (c *serverConfig) setCodec(codec Codec) {
	c.codec, c.json = codec, codec == jsonCodec
	c.controlOpcode = wire.Opcode(control.TypeBeside(codec.FrameType()))
}

// encode makes the frame that goes on the wire.
func (c *serverConfig) encode(f Frame) (*wire.Frame, error) {
	if !c.json {
		data, err := c.codec.Encode(f)
		frameType := c.codec.FrameType()
		if err == nil && frameType == TextMessage {
			err = c.checkText(data)
		}
		if err != nil {
			return nil, err
		}
		return c.deflater.Attach(wire.New(wire.Opcode(frameType), data)), nil
	}
	const around = 40 // bytes that the envelope has around the three fields, and some
	buf := make([]byte, wire.HeaderSize, wire.HeaderSize+around+len(f.ID)+len(f.Event)+len(f.Payload))
	buf, err := envelope.Append(buf, f)
	if err != nil {
		return nil, err
	}
	return c.deflater.Attach(wire.Seal(wire.OpText, buf)), nil
}

// checkText refuses a text that is not UTF-8: a browser would end the connection, as RFC 6455, section 8.1 asks of it,
// and so would every member of a room.
func (c *serverConfig) checkText(data []byte) error {
	if utf8.Valid(data) {
		return nil
	}
	return fmt.Errorf("wspulse: %T made a text of %d bytes that is not UTF-8; its FrameType must be BinaryMessage for "+
		"such frames", c.codec, len(data))
}

// decode returns the frame in a message whose memory is used again afterwards.
func (c *serverConfig) decode(data []byte) (Frame, error) {
	if !c.json {
		return c.codec.Decode(bytes.Clone(data)) // another codec's Payload may alias what it decodes
	}
	return envelope.Parse(data)
}
