// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
)

// pseudoSum is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 768; RFC
// 8200, section 8.1) over the IP header at ip for n bytes of k's protocol.
func pseudoSum(ip []byte, k *flowKey, n int) uint16 {
	xsum := checksum.Combine(uint16(k.proto), uint16(n))
	if k.version == 4 {
		return checksum.Checksum(ip[12:20], xsum)
	}
	return checksum.Checksum(ip[8:40], xsum)
}

// sums are what the checksums of all packets of a run have in common.
type sums struct {
	pseudo uint16 // the pseudo-header but for the length
	fixed  uint16 // that, and the transport header but for what lacking adds
}

func newSums(head []byte, f *facts) sums {
	pseudo := pseudoSum(head[f.net:], &f.key, 0)
	l4 := head[f.l4:f.payload]
	if f.key.proto == protoUDP {
		return sums{pseudo: pseudo, fixed: checksum.Checksum(l4[:udpLength], pseudo)}
	}
	fixed := checksum.Checksum(l4[:tcpSeq], pseudo)
	fixed = checksum.Checksum(l4[tcpAck:tcpOffset], fixed)
	fixed = checksum.Checksum(l4[tcpWindow:tcpChecksum], fixed)
	return sums{pseudo: pseudo, fixed: checksum.Checksum(l4[tcpUrgent:], fixed)}
}

// lacking returns the sum of a packet's payload without reading it: with a right
// checksum everything adds up to 0xffff, which is zero, so the payload is what
// the headers lack.
func (s sums) lacking(head []byte, f *facts) uint16 {
	l4 := head[f.l4:f.payload]
	xsum := uint32(s.fixed) + uint32(uint16(f.end-f.l4))
	if f.key.proto == protoUDP {
		xsum += uint32(binary.BigEndian.Uint16(l4[udpLength:])) + uint32(binary.BigEndian.Uint16(l4[udpChecksum:]))
	} else {
		xsum += uint32(binary.BigEndian.Uint16(l4[tcpSeq:])) + uint32(binary.BigEndian.Uint16(l4[tcpSeq+2:])) +
			uint32(binary.BigEndian.Uint16(l4[tcpOffset:])) + uint32(binary.BigEndian.Uint16(l4[tcpChecksum:]))
	}
	xsum = xsum>>16 + xsum&0xffff
	return ^uint16(xsum>>16 + xsum)
}

// checksumOK verifies the transport checksum of a packet that parse found whole.
func (s sums) checksumOK(head []byte, tail [][]byte, f *facts) bool {
	xsum := checksum.Combine(s.pseudo, uint16(f.end-f.l4))
	if f.end <= len(head) {
		return sum.Bytes(head[f.l4:f.end], xsum) == 0xffff
	}
	xsum = sum.Bytes(head[f.l4:], xsum)
	odd := (len(head)-f.l4)&1 != 0
	left := f.end - len(head)
	for _, b := range tail {
		b = b[:min(left, len(b))]
		part := sum.Bytes(b, 0)
		if odd {
			part = swap(part)
		}
		xsum = checksum.Combine(xsum, part)
		odd = odd != (len(b)&1 != 0)
		left -= len(b)
	}
	return xsum == 0xffff
}

// swap is what an odd number of bytes in front does to a sum (RFC 1071, section 2
// (B)).
func swap(sum uint16) uint16 { return sum<<8 | sum>>8 }
