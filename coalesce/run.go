// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// PutHeader writes the headers of a merged packet, from the link header to the
// TCP options or the UDP header, into dst, which must have HeaderLen bytes. All
// lengths and checksums are final; the transport checksum is right if those of
// all members were. It must not be called on a run of one packet.
func (r *Run) PutHeader(dst []byte) {
	dst = dst[:r.HeaderLen]
	copy(dst, r.head)
	ip, l4 := dst[r.f.net:r.f.l4], dst[r.f.l4:]
	size := r.HeaderLen - r.f.net + r.PayloadLen
	if r.f.key.version == 4 {
		v4 := header.IPv4(ip)
		v4.SetTotalLength(uint16(size))
		v4.SetChecksum(0)
		v4.SetChecksum(^v4.CalculateChecksum())
	} else {
		header.IPv6(ip).SetPayloadLength(uint16(size - header.IPv6MinimumSize))
	}
	sum := checksum.Combine(pseudoSum(ip, &r.f.key, len(l4)+r.PayloadLen), r.sum)
	if r.f.key.proto == protoUDP {
		putUDP(l4, len(l4)+r.PayloadLen, sum)
		return
	}
	l4[tcpFlags] |= r.flags
	binary.BigEndian.PutUint16(l4[tcpChecksum:], 0)
	binary.BigEndian.PutUint16(l4[tcpChecksum:], ^checksum.Checksum(l4, sum))
}

// CopyPayload copies the merged payload, without padding, into dst, which
// must have PayloadLen bytes.
func (r *Run) CopyPayload(dst []byte) {
	n := copyPayload(dst[:r.SegmentSize], r.head[r.f.payload:], r.tail)
	for i := r.firstMember; i != none; i = r.t.members[i].next {
		m := &r.t.members[i]
		n += copyPayload(dst[n:n+int(m.size)], m.payload, m.tail)
	}
}

// copyPayload fills dst from first and then rest.
func copyPayload(dst, first []byte, rest [][]byte) int {
	n := copy(dst, first)
	for i := 0; n < len(dst); i++ {
		n += copy(dst[n:], rest[i])
	}
	return n
}
