//go:build !unix

package stresstest

import "testing"

// needFiles does nothing where the open files of a process have no limit of their own.
func needFiles(*testing.T, uint32) {}
