package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	wspulse "github.com/wspulse/server"
)

// maxField bounds each field of a frame, in bytes.
const maxField = 1 << 20

// The errors of Decode. Each is wrapped with the name of the field.
var (
	errTruncated = errors.New("the message ends inside it")
	errTooLong   = fmt.Errorf("it is longer than %d bytes", maxField)
	errOverlong  = errors.New("its length is not in the shortest form")
	errTrailing  = errors.New("binary codec: bytes left over after the last field")
)

// Codec puts a frame into a binary message: ID, event and payload, each behind its length in bytes as a varint (as
// encoding/binary has them: seven bits in a byte, the lowest first).
//
//	┌────────┬────┬────────┬───────┬────────┬─────────┐
//	│ varint │ ID │ varint │ event │ varint │ payload │
//	└────────┴────┴────────┴───────┴────────┴─────────┘
//
// A frame has one encoding, and Decode accepts no other: no length longer than it needs to be, nothing missing, nothing
// left over.
type Codec struct{}

// FrameType implements wspulse.Codec.
func (Codec) FrameType() int { return wspulse.BinaryMessage }

// Encode implements wspulse.Codec. It fails when a field is longer than 1 MiB.
func (Codec) Encode(f wspulse.Frame) ([]byte, error) {
	if len(f.ID) > maxField || len(f.Event) > maxField || len(f.Payload) > maxField {
		longest := max(len(f.ID), len(f.Event), len(f.Payload))
		return nil, fmt.Errorf("binary codec: a field of %d bytes: %w", longest, errTooLong)
	}
	data := make([]byte, 0, 3*binary.MaxVarintLen32+len(f.ID)+len(f.Event)+len(f.Payload))
	data = append(binary.AppendUvarint(data, uint64(len(f.ID))), f.ID...)
	data = append(binary.AppendUvarint(data, uint64(len(f.Event))), f.Event...)
	data = append(binary.AppendUvarint(data, uint64(len(f.Payload))), f.Payload...)
	return data, nil
}

// Decode implements wspulse.Codec. The frame shares no memory with data; an empty payload is nil.
func (Codec) Decode(data []byte) (wspulse.Frame, error) {
	var fields [3][]byte
	for i, name := range [...]string{"ID", "event", "payload"} {
		field, rest, err := cut(data)
		if err != nil {
			return wspulse.Frame{}, fmt.Errorf("binary codec: %s: %w", name, err)
		}
		fields[i], data = field, rest
	}
	if len(data) > 0 {
		return wspulse.Frame{}, errTrailing
	}
	f := wspulse.Frame{ID: string(fields[0]), Event: string(fields[1])}
	f.Payload = append(f.Payload, fields[2]...)
	return f, nil
}

// cut takes the first field from data.
func cut(data []byte) (field, rest []byte, err error) {
	length, n := binary.Uvarint(data)
	switch {
	case n == 0:
		return nil, nil, errTruncated
	case n < 0 || length > maxField:
		return nil, nil, errTooLong
	case n > max(1, (bits.Len64(length)+6)/7):
		return nil, nil, errOverlong
	case length > uint64(len(data)-n):
		return nil, nil, errTruncated
	}
	end := n + int(length)
	return data[n:end], data[end:], nil
}
