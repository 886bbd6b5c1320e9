// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	protoTCP = uint8(header.TCPProtocolNumber)
	protoUDP = uint8(header.UDPProtocolNumber)
)

// Offsets into an IPv4 header (RFC 791, section 3.1).
const (
	ipLength   = 2
	ipID       = 4
	ipFlags    = 6
	ipChecksum = 10
)

// parse finds the headers of a TCP or UDP packet of size bytes in s.head and
// checks that they agree with it.
func (s *Splitter) parse(size int) error {
	if s.net < 0 || s.net >= len(s.head) {
		return ErrMalformed
	}
	s.version = s.head[s.net] >> 4
	var end int
	var err error
	switch s.version {
	case 4:
		end, err = s.parseIPv4()
	case 6:
		end, err = s.parseIPv6()
	default:
		return ErrNotSegmentable
	}
	switch {
	case err != nil:
	case end != size:
		err = ErrMalformed
	case s.proto == protoUDP:
		err = s.parseUDP(size)
	default:
		err = s.parseTCP(size)
	}
	s.payload = size - s.hdrLen
	return err
}

// parseIPv4 sets l4 and proto and returns where the packet ends by its own
// account.
func (s *Splitter) parseIPv4() (end int, err error) {
	ip := s.head[s.net:]
	if len(ip) < header.IPv4MinimumSize {
		return 0, ErrMalformed
	}
	hdrLen := int(ip[0]&0xf) * 4
	if hdrLen < header.IPv4MinimumSize || len(ip) < hdrLen {
		return 0, ErrMalformed
	}
	fragment := binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 // MF or an offset
	s.proto = ip[9]
	if fragment || s.proto != protoTCP && s.proto != protoUDP {
		return 0, ErrNotSegmentable
	}
	s.l4 = s.net + hdrLen
	return s.net + int(binary.BigEndian.Uint16(ip[2:])), nil
}

// parseIPv6 does the same. Extension headers (RFC 8200, section 4) are taken as
// they are where they leave the checksum alone.
func (s *Splitter) parseIPv6() (end int, err error) {
	ip := s.head[s.net:]
	if len(ip) < header.IPv6MinimumSize {
		return 0, ErrMalformed
	}
	next, n := ip[6], header.IPv6MinimumSize
	for next != protoTCP && next != protoUDP {
		id := header.IPv6ExtensionHeaderIdentifier(next)
		switch id {
		case header.IPv6HopByHopOptionsExtHdrIdentifier,
			header.IPv6DestinationOptionsExtHdrIdentifier,
			header.IPv6RoutingExtHdrIdentifier,
			header.IPv6ExperimentExtHdrIdentifier:
		default:
			return 0, ErrNotSegmentable
		}
		if len(ip) < n+8 {
			return 0, ErrMalformed
		}
		if id == header.IPv6RoutingExtHdrIdentifier && ip[n+3] != 0 {
			// The checksum covers the last destination, which only the
			// routing type's own rules would tell (RFC 8200, section 8.1).
			return 0, ErrNotSegmentable
		}
		next, n = ip[n], n+8+8*int(ip[n+1])
	}
	s.l4, s.proto = s.net+n, next
	return s.net + header.IPv6MinimumSize + int(binary.BigEndian.Uint16(ip[4:])), nil
}

// prepareIP sums what is the same in the IPv4 headers of all segments.
func (s *Splitter) prepareIP() {
	if s.version == 4 {
		ip := s.head[s.net:s.l4]
		sum := checksum.Checksum(ip[ipFlags:ipChecksum], binary.BigEndian.Uint16(ip))
		s.ipFixed = checksum.Checksum(ip[ipChecksum+2:], sum)
	}
}

func (s *Splitter) putIP(ip []byte, i, size int) {
	if s.version == 6 {
		header.IPv6(ip).SetPayloadLength(uint16(size - header.IPv6MinimumSize))
		return
	}
	id := binary.BigEndian.Uint16(ip[ipID:])
	if !s.opts.FixedID {
		id += uint16(i)
	}
	binary.BigEndian.PutUint16(ip[ipLength:], uint16(size))
	binary.BigEndian.PutUint16(ip[ipID:], id)
	sum := checksum.Combine(checksum.Combine(s.ipFixed, uint16(size)), id)
	binary.BigEndian.PutUint16(ip[ipChecksum:], ^sum)
}

// pseudoSum is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 768; RFC
// 8200, section 8.1) for n bytes.
func (s *Splitter) pseudoSum(n int) uint16 {
	ip := s.head[s.net:]
	sum := checksum.Combine(uint16(s.proto), uint16(n))
	if s.version == 4 {
		return checksum.Checksum(ip[12:20], sum)
	}
	return checksum.Checksum(ip[8:40], sum)
}
