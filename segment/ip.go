// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// parse finds the headers of a TCP packet of size bytes in s.head and checks
// that they agree with it.
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
		return ErrNotTCP
	}
	if err != nil {
		return err
	}
	if end != size || len(s.head) < s.l4+header.TCPMinimumSize {
		return ErrMalformed
	}
	s.hdrLen = s.l4 + int(s.head[s.l4+tcpOffset]>>4)*4
	if s.hdrLen < s.l4+header.TCPMinimumSize || s.hdrLen > len(s.head) || s.hdrLen > size {
		return ErrMalformed
	}
	s.payload = size - s.hdrLen
	return nil
}

// parseIPv4 sets l4 and returns where the packet ends by its own account.
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
	if fragment || ip[9] != uint8(header.TCPProtocolNumber) {
		return 0, ErrNotTCP
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
	for next != uint8(header.TCPProtocolNumber) {
		id := header.IPv6ExtensionHeaderIdentifier(next)
		switch id {
		case header.IPv6HopByHopOptionsExtHdrIdentifier,
			header.IPv6DestinationOptionsExtHdrIdentifier,
			header.IPv6RoutingExtHdrIdentifier,
			header.IPv6ExperimentExtHdrIdentifier:
		default:
			return 0, ErrNotTCP
		}
		if len(ip) < n+8 {
			return 0, ErrMalformed
		}
		if id == header.IPv6RoutingExtHdrIdentifier && ip[n+3] != 0 {
			// The checksum covers the last destination, which only the
			// routing type's own rules would tell (RFC 8200, section 8.1).
			return 0, ErrNotTCP
		}
		next, n = ip[n], n+8+8*int(ip[n+1])
	}
	s.l4 = s.net + n
	return s.net + header.IPv6MinimumSize + int(binary.BigEndian.Uint16(ip[4:])), nil
}
