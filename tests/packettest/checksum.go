// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

// Checksum is the Internet checksum (RFC 1071) of the parts as one string of
// bytes: what belongs into a zeroed checksum field.
func Checksum(parts ...[]byte) uint16 {
	sum, odd := 0, false
	for _, p := range parts {
		for _, b := range p {
			if odd {
				sum += int(b)
			} else {
				sum += int(b) << 8
			}
			odd = !odd
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudo is the pseudo-header of an IP packet for n bytes of proto (RFC 9293,
// section 3.1; RFC 8200, section 8.1).
func pseudo(ip []byte, proto uint8, n int) []byte {
	if ip[0]>>4 == 4 {
		return append(append([]byte{}, ip[12:20]...), 0, proto, byte(n>>8), byte(n))
	}
	return append(append([]byte{}, ip[8:40]...), byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, proto)
}

// FixIPv4 writes the right header checksum into an IPv4 packet that a test has
// changed.
func FixIPv4(ip []byte) {
	put16(ip[10:], 0)
	put16(ip[10:], Checksum(ip[:int(ip[0]&0xf)*4]))
}

// Where the checksum is in a transport header.
const (
	tcpChecksum = 16
	udpChecksum = 6
)

// FixTCP writes the right TCP checksum into an IP packet, IPv4 or IPv6, whose
// TCP header begins at l4 and which ends with its payload.
func FixTCP(ip []byte, l4 int) { fix(ip, l4, protoTCP, tcpChecksum) }

// TCPValid reports whether the TCP checksum of such a packet is right.
func TCPValid(ip []byte, l4 int) bool { return valid(ip, l4, protoTCP) }

// FixUDP does for UDP what FixTCP does: a checksum of 0 is sent as 0xffff (RFC
// 768).
func FixUDP(ip []byte, l4 int) {
	fix(ip, l4, protoUDP, udpChecksum)
	if get16(ip[l4+udpChecksum:]) == 0 {
		put16(ip[l4+udpChecksum:], 0xffff)
	}
}

// UDPValid reports whether the UDP checksum of such a packet is right. One of 0,
// which means that there is none, is not.
func UDPValid(ip []byte, l4 int) bool {
	return get16(ip[l4+udpChecksum:]) != 0 && valid(ip, l4, protoUDP)
}

func fix(ip []byte, l4 int, proto uint8, at int) {
	put16(ip[l4+at:], 0)
	put16(ip[l4+at:], Checksum(pseudo(ip, proto, len(ip)-l4), ip[l4:]))
}

func valid(ip []byte, l4 int, proto uint8) bool {
	return Checksum(pseudo(ip, proto, len(ip)-l4), ip[l4:]) == 0
}

// fixPartial leaves only the uninverted pseudo-header sum in the checksum field.
func fixPartial(ip []byte, l4 int, proto uint8, at int) {
	put16(ip[l4+at:], ^Checksum(pseudo(ip, proto, len(ip)-l4)))
}

// fixFFFF chooses the last two payload bytes at an even offset so that the
// checksum computes to 0, and stores 0xffff.
func fixFFFF(ip []byte, l4 int, proto uint8, at int) {
	last := l4 + (len(ip)-l4-2)&^1
	put16(ip[last:], 0)
	put16(ip[last:], Checksum(pseudo(ip, proto, len(ip)-l4), ip[l4:]))
	put16(ip[l4+at:], 0xffff)
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func put32(b []byte, v uint32) { put16(b, uint16(v>>16)); put16(b[2:], uint16(v)) }

func get16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }
