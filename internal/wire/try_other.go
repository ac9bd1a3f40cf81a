//go:build !unix

package wire

const canWriteOnce = false

// writeOnce writes nothing.
func writeOnce(uintptr, []byte) (int, error) { return 0, nil }
