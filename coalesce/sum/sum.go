// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package sum computes RFC 1071 sums of payloads, by vector instructions where
// the CPU has them. Verifying what comes in and finishing what goes out is the
// largest single cost of this module; gVisor's checksum package, which the result
// equals, takes twice as long for a packet of 1500 bytes.
//
// It is no more than this module needs: use gVisor's package for anything short.
package sum

import (
	"math/bits"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// Bytes returns what checksum.Checksum(b, initial) does: the one's complement sum
// of b in 16-bit big-endian words, an odd last byte padded with zero, and of
// initial, not inverted. It is safe for concurrent use.
func Bytes(b []byte, initial uint16) uint16 {
	s, n := vector(b)
	if n > 0 {
		// Words of 32 bits add up to the same as words of 16, and in the
		// other byte order to the same with its bytes swapped: RFC 1071,
		// section 2 (B) and (C).
		s = s>>32 + s&0xffffffff
		s = s>>16 + s&0xffff
		s = s>>16 + s&0xffff
		s = s>>16 + s&0xffff
		initial = checksum.Combine(bits.ReverseBytes16(uint16(s)), initial)
	}
	return checksum.Checksum(b[n:], initial)
}
