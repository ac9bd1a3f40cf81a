package envelope

import (
	"encoding/binary"
	"math/bits"
)

// The functions in this file walk JSON text (RFC 8259) and agree with encoding/json on what is valid. They take the
// text and the index to begin at, and return the index after what they have skipped and true, or the index of the first
// byte that is wrong (the length of the text when it ends too early) and false.

// maxDepth is how deep objects and arrays may nest, the envelope included. It is the limit of encoding/json.
const maxDepth = 10_000

// skipSpace returns the index of the first byte at or after i that is not white space.
func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// skipValue skips the value that begins exactly at i, depth levels deep in the text.
func skipValue(data []byte, i, depth int) (int, bool) {
	// The brackets that are open, innermost last. On the stack for all but the deepest of values.
	var shallow [64]byte
	open := shallow[:0]

	for ok := true; ; {
		if i == len(data) {
			return i, false
		}
		switch c := data[i]; c {
		case '{', '[':
			if depth+len(open) == maxDepth {
				return i, false
			}
			open = append(open, c)
			i = skipSpace(data, i+1)
			if i < len(data) && data[i] == c+closing {
				break
			}
			if c == '{' {
				if _, i, ok = skipKey(data, i); !ok {
					return i, false
				}
			}
			continue
		case '"':
			i, ok = skipString(data, i)
		case 't':
			i, ok = skipLiteral(data, i, "true")
		case 'f':
			i, ok = skipLiteral(data, i, "false")
		case 'n':
			i, ok = skipLiteral(data, i, "null")
		default:
			i, ok = skipNumber(data, i)
		}
		if !ok {
			return i, false
		}
		if i, open, ok = skipEnds(data, i, open); !ok || len(open) == 0 {
			return i, ok
		}
	}
}

// closing is how far a closing bracket is from the one that opens, in ASCII.
const closing = ']' - '['

// skipEnds skips what follows a value inside the open brackets: those that close, and the comma and key before the next
// value. It returns the brackets still open.
func skipEnds(data []byte, i int, open []byte) (int, []byte, bool) {
	for len(open) > 0 {
		i = skipSpace(data, i)
		if i == len(data) {
			return i, open, false
		}
		c := open[len(open)-1]
		switch data[i] {
		case c + closing:
			open = open[:len(open)-1]
			i++
		case ',':
			i = skipSpace(data, i+1)
			if c == '{' {
				_, next, ok := skipKey(data, i)
				return next, open, ok
			}
			return i, open, true
		default:
			return i, open, false
		}
	}
	return i, open, true
}

// skipKey skips a key, the colon and the space up to the value. It also returns the key as it stands between the
// quotes.
func skipKey(data []byte, i int) (key []byte, next int, ok bool) {
	if i == len(data) || data[i] != '"' {
		return nil, i, false
	}
	end, ok := skipString(data, i)
	if !ok {
		return nil, end, false
	}
	next = skipSpace(data, end)
	if next == len(data) || data[next] != ':' {
		return nil, next, false
	}
	return data[i+1 : end-1], skipSpace(data, next+1), true
}

// skipString skips the string whose opening quote is at i. Any byte from 0x20 up may stand in it, valid UTF-8 or not.
func skipString(data []byte, i int) (int, bool) {
	for i = skipPlain(data, i+1); i < len(data); i = skipPlain(data, i) {
		switch c := data[i]; {
		case c == '"':
			return i + 1, true
		case c == '\\':
			var ok bool
			if i, ok = skipEscape(data, i); !ok {
				return i, false
			}
		case c < ' ':
			return i, false
		default:
			i++
		}
	}
	return i, false
}

// skipPlain skips bytes that stand for themselves in a string, eight at a time. It may stop before the last seven of them.
func skipPlain(data []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		// The top bit of each byte of special says whether that byte is less than ' ', or a quote or backslash, and so
		// 0 after the exclusive or. Subtracting may borrow from the byte behind one that is, which matters to nobody.
		w := binary.LittleEndian.Uint64(data[i:])
		quote, backslash := w^('"'*ones), w^('\\'*ones)
		special := ((w-' '*ones)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & tops
		if special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	return i
}

// skipEscape skips the escape sequence whose backslash is at i.
func skipEscape(data []byte, i int) (int, bool) {
	i++
	if i == len(data) {
		return i, false
	}
	switch data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, true
	case 'u':
		for range 4 {
			i++
			if i == len(data) || hexValue(data[i]) < 0 {
				return i, false
			}
		}
		return i + 1, true
	}
	return i, false
}

// skipLiteral skips the word, whose first byte is at i.
func skipLiteral(data []byte, i int, word string) (int, bool) {
	for j := range len(word) {
		if i == len(data) || data[i] != word[j] {
			return i, false
		}
		i++
	}
	return i, true
}

// skipNumber skips the number that begins at i, as much of it as there is: 01 is the number 0 followed by a byte that
// no caller takes.
func skipNumber(data []byte, i int) (int, bool) {
	if data[i] == '-' {
		i++
	}
	var ok bool
	if i < len(data) && data[i] == '0' {
		i++
	} else if i, ok = skipDigits(data, i); !ok {
		return i, false
	}
	if i < len(data) && data[i] == '.' {
		if i, ok = skipDigits(data, i+1); !ok {
			return i, false
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		return skipDigits(data, i)
	}
	return i, true
}

// skipDigits skips one or more digits.
func skipDigits(data []byte, i int) (int, bool) {
	start := i
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i, i > start
}
