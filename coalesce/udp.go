// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Offsets into a UDP header (RFC 768).
const (
	udpLength   = 4
	udpChecksum = 6
)

// maxDatagrams is how many datagrams a run takes (Linux: UDP_GRO_CNT_MAX in
// net/ipv4/udp_offload.c).
const maxDatagrams = 64

// parseUDP reads what decides whether a datagram may take part in a run, or, if
// none may, its ports.
func (f *facts) parseUDP(p *Packet, may bool) {
	if !may {
		f.refuse(NotTCP)
		if len(p.Head) >= f.l4+4 {
			f.key.ports = binary.LittleEndian.Uint32(p.Head[f.l4:])
		}
		return
	}
	if !f.holds(p, header.UDPMinimumSize) {
		return
	}
	if f.payload = f.l4 + header.UDPMinimumSize; f.payload > f.end {
		f.refuse(Malformed)
		return
	}
	udp := p.Head[f.l4:f.payload]
	switch length := int(binary.BigEndian.Uint16(udp[udpLength:])); {
	case !f.wholePacket(p) || f.l4+length != f.end:
		f.refuse(LengthMismatch)
	case f.payload == f.end:
		f.refuse(NoPayload)
	case binary.BigEndian.Uint16(udp[udpChecksum:]) == 0:
		f.refuse(NoChecksum)
	}
}

// putUDP writes length and checksum; sum is that of all but the header. A checksum
// of 0 is sent as 0xffff (RFC 768).
func putUDP(udp []byte, length int, sum uint16) {
	binary.BigEndian.PutUint16(udp[udpLength:], uint16(length))
	binary.BigEndian.PutUint16(udp[udpChecksum:], 0)
	xsum := ^checksum.Checksum(udp, sum)
	if xsum == 0 {
		xsum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[udpChecksum:], xsum)
}
