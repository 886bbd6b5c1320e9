// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment

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

// parseUDP finds the payload. The UDP header must say where it ends as the IP
// header does.
func (s *Splitter) parseUDP(size int) error {
	s.hdrLen = s.l4 + header.UDPMinimumSize
	if s.hdrLen > len(s.head) || s.hdrLen > size || s.l4+int(binary.BigEndian.Uint16(s.head[s.l4+udpLength:])) != size {
		return ErrMalformed
	}
	return nil
}

// noChecksum reports whether the packet is of UDP and has none, which a checksum
// of 0 says (RFC 768). What the sender left out is not added: it would vouch for
// bytes that nobody has checked. Over IPv6 too, where tunnels may do without (RFC
// 6935) and otherwise the receiver drops what came. Linux has no such
// super-packets: its GRO merges none and its sockets send none; its
// __udp_gso_segment would take the 0 for a partial checksum.
func (s *Splitter) noChecksum() bool {
	return s.proto == protoUDP && !s.opts.Partial && binary.BigEndian.Uint16(s.head[s.l4+udpChecksum:]) == 0
}

// prepareUDP sums what is the same in all segments: the pseudo-header but for the
// length, and the ports.
func (s *Splitter) prepareUDP() {
	s.fixed = checksum.Checksum(s.head[s.l4:s.l4+udpLength], s.pseudoSum(0))
}

// putUDP writes length and checksum; sum is that of all but the header's length.
func (s *Splitter) putUDP(udp []byte, length int, sum uint16) {
	binary.BigEndian.PutUint16(udp[udpLength:], uint16(length))
	if s.noChecksum() {
		return
	}
	xsum := ^checksum.Combine(sum, uint16(length))
	if xsum == 0 {
		xsum = 0xffff // RFC 768: 0 would mean that there is none
	}
	binary.BigEndian.PutUint16(udp[udpChecksum:], xsum)
}
