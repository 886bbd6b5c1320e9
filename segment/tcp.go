// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Offsets into a TCP header (RFC 9293, section 3.1).
const (
	tcpSeq      = 4
	tcpOffset   = 12
	tcpFlags    = 13
	tcpChecksum = 16
)

const (
	flagFin = byte(header.TCPFlagFin)
	flagPsh = byte(header.TCPFlagPsh)
	flagCwr = byte(header.TCPFlagCwr)
)

// parseTCP finds the payload.
func (s *Splitter) parseTCP(size int) error {
	if len(s.head) < s.l4+header.TCPMinimumSize {
		return ErrMalformed
	}
	s.hdrLen = s.l4 + int(s.head[s.l4+tcpOffset]>>4)*4
	if s.hdrLen < s.l4+header.TCPMinimumSize || s.hdrLen > len(s.head) || s.hdrLen > size {
		return ErrMalformed
	}
	return nil
}

// prepareTCP sums what is the same in all segments: the pseudo-header but for the
// length, and the TCP header but for sequence number, flags and checksum.
func (s *Splitter) prepareTCP() {
	tcp := s.head[s.l4:s.hdrLen]
	sum := checksum.Checksum(tcp[:tcpSeq], s.pseudoSum(0))
	sum = checksum.Checksum(tcp[tcpSeq+4:tcpOffset], sum)
	sum = checksum.Checksum(tcp[tcpFlags+1:tcpChecksum], sum)
	s.fixed = checksum.Checksum(tcp[tcpChecksum+2:], sum)
}

func (s *Splitter) putTCP(tcp []byte, i, off int) {
	seq := binary.BigEndian.Uint32(tcp[tcpSeq:])
	binary.BigEndian.PutUint32(tcp[tcpSeq:], seq+uint32(off))
	if i > 0 {
		tcp[tcpFlags] &^= flagCwr
	}
	if i < s.count-1 {
		tcp[tcpFlags] &^= flagFin | flagPsh
	}
}

// putTCPChecksum adds to sum what prepareTCP left out.
func putTCPChecksum(tcp []byte, sum uint16) {
	sum = checksum.Combine(sum, checksum.Checksum(tcp[tcpSeq:tcpSeq+4], 0))
	sum = checksum.Combine(sum, binary.BigEndian.Uint16(tcp[tcpOffset:]))
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], ^sum)
}
