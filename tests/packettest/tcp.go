// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

// Flags of TCP.Flags (RFC 9293, section 3.1). AE is TCP.AE.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// TCP is a TCP segment. The zero value is a valid segment without payload.
type TCP struct {
	Link Link
	IP   IP

	SrcPort, DstPort uint16 // 0 means 40000 and 443
	Seq, Ack         uint32
	Flags            uint8 // 0 means ACK
	AE               bool  // Accurate ECN (RFC 9768)
	Reserved         uint8 // the three reserved bits above AE
	Window           uint16
	Urgent           uint16
	Options          []byte // a multiple of 4 bytes
	Payload          []byte
	// Offset, if not 0, replaces the data offset, in units of 4 bytes.
	Offset uint8

	// BadChecksum spoils the checksum. Partial leaves only the uninverted
	// pseudo-header sum in its field, as netstack does for GSO. FFFF chooses
	// the last two payload bytes at an even offset so that the checksum is
	// 0x0000 and stores the equally valid 0xffff.
	BadChecksum, Partial, FFFF bool
}

// Timestamp is a timestamp option as all stacks send it, padded in front.
func Timestamp(val, ecr uint32) []byte {
	b := []byte{1, 1, 8, 10, 11: 0}
	put32(b[4:], val)
	put32(b[8:], ecr)
	return b
}

// Stream returns n bytes of a stream of bytes, those from sequence number seq
// on: payload put in another place than its own shows.
func Stream(seq uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := (seq + uint32(i)) * 0x9e3779b1
		b[i] = byte(x >> 24)
	}
	return b
}

// Bytes is the bare IP packet.
func (t TCP) Bytes() []byte {
	h := make([]byte, 20, 20+len(t.Options)+len(t.Payload))
	put16(h, or(t.SrcPort, 40000))
	put16(h[2:], or(t.DstPort, 443))
	put32(h[4:], t.Seq)
	put32(h[8:], t.Ack)
	h[12] = byte(20+len(t.Options)) / 4 << 4
	if t.Offset != 0 {
		h[12] = t.Offset << 4
	}
	h[12] |= t.Reserved << 1 & 0xe
	if t.AE {
		h[12] |= 1
	}
	h[13] = t.Flags
	if t.Flags == 0 {
		h[13] = ACK
	}
	put16(h[14:], t.Window)
	put16(h[18:], t.Urgent)
	h = append(append(h, t.Options...), t.Payload...)

	ip, l4 := t.IP.build(protoTCP, h)
	switch {
	case t.Partial:
		fixPartial(ip, l4, protoTCP, tcpChecksum)
	case t.FFFF:
		fixFFFF(ip, l4, protoTCP, tcpChecksum)
	default:
		FixTCP(ip, l4)
	}
	if t.BadChecksum {
		ip[l4+tcpChecksum] ^= 0x55
	}
	return ip
}

// Frame is the packet framed by t.Link.
func (t TCP) Frame() Frame { return t.Link.Wrap(t.Bytes()) }

func or(v, otherwise uint16) uint16 {
	if v == 0 {
		return otherwise
	}
	return v
}
