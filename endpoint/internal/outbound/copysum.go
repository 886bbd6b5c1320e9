// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"encoding/binary"
	"math/bits"
)

// copySum copies src to dst, which must be as long, and returns what
// checksum.Checksum(src, 0) does: every byte is fetched once for both. It sums
// little-endian words, which RFC 1071, section 2 (B), allows if the bytes of the
// result are swapped.
func copySum(dst, src []byte) uint16 {
	var sum, carry uint64
	for len(src) >= 64 && len(dst) >= 64 {
		s, d := src[:64:64], dst[:64:64]
		w0, w1 := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		w2, w3 := binary.LittleEndian.Uint64(s[16:]), binary.LittleEndian.Uint64(s[24:])
		w4, w5 := binary.LittleEndian.Uint64(s[32:]), binary.LittleEndian.Uint64(s[40:])
		w6, w7 := binary.LittleEndian.Uint64(s[48:]), binary.LittleEndian.Uint64(s[56:])
		binary.LittleEndian.PutUint64(d, w0)
		binary.LittleEndian.PutUint64(d[8:], w1)
		binary.LittleEndian.PutUint64(d[16:], w2)
		binary.LittleEndian.PutUint64(d[24:], w3)
		binary.LittleEndian.PutUint64(d[32:], w4)
		binary.LittleEndian.PutUint64(d[40:], w5)
		binary.LittleEndian.PutUint64(d[48:], w6)
		binary.LittleEndian.PutUint64(d[56:], w7)
		sum, carry = bits.Add64(sum, w0, 0)
		sum, carry = bits.Add64(sum, w1, carry)
		sum, carry = bits.Add64(sum, w2, carry)
		sum, carry = bits.Add64(sum, w3, carry)
		sum, carry = bits.Add64(sum, w4, carry)
		sum, carry = bits.Add64(sum, w5, carry)
		sum, carry = bits.Add64(sum, w6, carry)
		sum, carry = bits.Add64(sum, w7, carry)
		sum, carry = bits.Add64(sum, 0, carry)
		sum += carry
		src, dst = src[64:], dst[64:]
	}
	for len(src) >= 8 && len(dst) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		binary.LittleEndian.PutUint64(dst, w)
		sum, carry = bits.Add64(sum, w, 0)
		sum += carry
		src, dst = src[8:], dst[8:]
	}
	copy(dst, src)
	var last [8]byte
	copy(last[:], src)
	sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(last[:]), 0)
	sum += carry

	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return bits.ReverseBytes16(uint16(sum))
}
