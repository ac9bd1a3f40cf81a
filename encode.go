package wspulse

import (
	"bytes"

	"github.com/wspulse/server/internal/wire"
)

// An appendEncoder leaves room for a WebSocket header before what it encodes. JSONCodec is one.
type appendEncoder interface {
	AppendEncode(dst []byte, f Frame) ([]byte, error)
}

func (c *serverConfig) setCodec(codec Codec) {
	c.codec, c.appender = codec, nil
	if codec == JSONCodec {
		c.appender, _ = codec.(appendEncoder)
	}
}

// encode makes the frame that goes on the wire.
func (c *serverConfig) encode(f Frame) (*wire.Frame, error) {
	if c.appender == nil {
		data, err := c.codec.Encode(f)
		if err != nil {
			return nil, err
		}
		return c.deflater.Attach(wire.New(wire.Opcode(c.codec.FrameType()), data)), nil
	}
	const envelope = 40 // bytes that JSONCodec puts around the three fields, and some
	buf := make([]byte, wire.HeaderSize, wire.HeaderSize+envelope+len(f.ID)+len(f.Event)+len(f.Payload))
	buf, err := c.appender.AppendEncode(buf, f)
	if err != nil {
		return nil, err
	}
	return c.deflater.Attach(wire.Seal(wire.OpText, buf)), nil
}

// decode returns the frame in a message whose memory is used again afterwards.
func (c *serverConfig) decode(data []byte) (Frame, error) {
	if c.appender == nil {
		data = bytes.Clone(data) // another codec's Payload may alias what it decodes
	}
	return c.codec.Decode(data)
}
