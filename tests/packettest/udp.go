// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

// UDP is a datagram.
type UDP struct {
	Link Link
	IP   IP

	SrcPort, DstPort uint16 // 0 means 40000 and 443
	Payload          []byte
	// LengthDelta is added to the UDP length, which is right without it.
	LengthDelta int
	// BadChecksum spoils the checksum; NoChecksum stores 0. Partial and FFFF
	// are as in TCP, but that 0xffff is what UDP stores for 0x0000.
	BadChecksum, NoChecksum, Partial, FFFF bool
}

// Bytes is the bare IP packet.
func (u UDP) Bytes() []byte {
	h := make([]byte, 8, 8+len(u.Payload))
	put16(h, or(u.SrcPort, 40000))
	put16(h[2:], or(u.DstPort, 443))
	put16(h[4:], uint16(8+len(u.Payload)+u.LengthDelta))
	ip, l4 := u.IP.build(protoUDP, append(h, u.Payload...))
	switch {
	case u.NoChecksum:
		return ip
	case u.Partial:
		fixPartial(ip, l4, protoUDP, udpChecksum)
	case u.FFFF:
		fixFFFF(ip, l4, protoUDP, udpChecksum)
	default:
		FixUDP(ip, l4)
	}
	if u.BadChecksum {
		ip[l4+udpChecksum] ^= 0x55
		ip[l4+udpChecksum+1] |= 1 // not 0, which would be none
	}
	return ip
}

// Frame is the packet framed by u.Link.
func (u UDP) Frame() Frame { return u.Link.Wrap(u.Bytes()) }

// ICMP is an ICMP or ICMPv6 message. The zero value is an echo request.
type ICMP struct {
	Link Link
	IP   IP

	Type, Code  uint8 // Type 0 means echo request
	ID, Seq     uint16
	Payload     []byte
	BadChecksum bool
}

// Bytes is the bare IP packet.
func (m ICMP) Bytes() []byte {
	h := make([]byte, 8, 8+len(m.Payload))
	h[0], h[1] = m.Type, m.Code
	put16(h[4:], m.ID)
	put16(h[6:], m.Seq)
	proto, echo := uint8(protoICMPv4), uint8(8)
	if m.IP.V6 {
		proto, echo = protoICMPv6, 128
	}
	if m.Type == 0 {
		h[0] = echo
	}
	h = append(h, m.Payload...)
	if !m.IP.V6 {
		put16(h[2:], Checksum(h)) // RFC 792: no pseudo-header
	}
	ip, l4 := m.IP.build(proto, h)
	if m.IP.V6 {
		fix(ip, l4, proto, 2)
	}
	if m.BadChecksum {
		ip[l4+2] ^= 0x55
	}
	return ip
}

// Frame is the packet framed by m.Link.
func (m ICMP) Frame() Frame { return m.Link.Wrap(m.Bytes()) }
