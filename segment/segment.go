// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Errors of Splitter.Init. Each means that the packet cannot be sent and has to
// be dropped.
var (
	// ErrNotTCP: larger than the MTU but not an unfragmented TCP packet.
	ErrNotTCP = errors.New("segment: packet exceeds the MTU and is not TCP: drop it")
	// ErrMalformed: the headers are cut short or contradict the packet's size.
	ErrMalformed = errors.New("segment: malformed headers: drop the packet")
	// ErrMTU: the MTU leaves no room for payload behind the headers.
	ErrMTU = errors.New("segment: MTU too small for the packet's headers: drop the packet")
)

// Options says how a packet is to be sent.
type Options struct {
	// SegmentSize is the TCP payload of a segment in bytes (the MSS less TCP
	// options). 0 means as much as the MTU allows.
	SegmentSize int
	// MTU is the largest IP packet that the link takes, in bytes.
	MTU int
	// FixedID gives every segment the IPv4 ID of the super-packet, instead of
	// counting up from it.
	FixedID bool
	// Partial says that the TCP checksum field holds only the sum of the
	// pseudo-header, as netstack's TCP leaves it where it hands down GSO
	// options with NeedsCsum. Otherwise it holds the checksum.
	Partial bool
	// LinkHdrLen is the length of the link header in front of the IP header,
	// a VLAN tag included.
	LinkHdrLen int
}

// A Splitter splits one packet after the other. The zero value is ready for
// Init. It is not safe for concurrent use, and allocates nothing.
type Splitter struct {
	head    []byte
	opts    Options
	net     int // offset of the IP header
	l4      int // offset of the TCP header
	version uint8
	hdrLen  int // link header to TCP options
	payload int // bytes in the whole packet
	size    int // bytes in a segment
	count   int
	fixed   uint16 // sum of what all segments' TCP and pseudo-headers share
	ipFixed uint16 // sum of the IPv4 header but for length, ID and checksum
}

// Init reads the headers of a packet of size bytes, link header included. head
// begins with the link header and must contiguously hold at least all headers;
// Init keeps it, unchanged, until the next Init.
//
// After an error the packet has to be dropped. Without one, Segments tells what
// to do.
func (s *Splitter) Init(head []byte, size int, o Options) error {
	*s = Splitter{head: head, opts: o, net: o.LinkHdrLen}
	fits := size-o.LinkHdrLen <= o.MTU
	if fits && !o.Partial && o.SegmentSize <= 0 {
		return nil
	}
	if err := s.parse(size); err != nil {
		switch {
		case fits && !o.Partial:
			return nil // nothing to split, nothing to finish
		case fits && err == ErrNotTCP:
			return ErrMalformed // a partial checksum that nobody can finish
		}
		return err
	}
	room := o.MTU - (s.hdrLen - s.net)
	if room < min(1, s.payload) {
		return ErrMTU
	}
	s.size = o.SegmentSize
	if s.size <= 0 || s.size > room {
		s.size = room
	}
	if s.payload <= s.size && !o.Partial {
		return nil
	}
	s.count = max(1, (s.payload+s.size-1)/max(1, s.size))
	s.prepare()
	return nil
}

// Segments is the number of packets to send. 0 means the packet as it is. 1
// means one packet with the headers that PutHeader writes, its checksum
// finished.
func (s *Splitter) Segments() int { return s.count }

// HeaderLen is the number of header bytes of each segment, from the link header
// to the TCP options.
func (s *Splitter) HeaderLen() int { return s.hdrLen }

// NetworkOffset and TransportOffset are where the IP and the TCP header begin in
// what PutHeader writes.
func (s *Splitter) NetworkOffset() int { return s.net }

// TransportOffset: see NetworkOffset.
func (s *Splitter) TransportOffset() int { return s.l4 }

// PayloadLen is the TCP payload of the whole packet, in bytes. It begins
// HeaderLen bytes after the packet.
func (s *Splitter) PayloadLen() int { return s.payload }

// Payload returns which part of the packet's TCP payload segment i has, 0 <= i <
// Segments.
func (s *Splitter) Payload(i int) (off, n int) {
	off = i * s.size
	return off, min(s.size, s.payload-off)
}

// ChecksumOK verifies a packet whose checksum is not Partial: sum is the
// checksum.Checksum of its whole TCP payload. Splitting gives every segment a
// right checksum, so a packet that came with a wrong one must not be split. Of a
// Partial one it is true. It may be called when Segments is not 0.
func (s *Splitter) ChecksumOK(sum uint16) bool {
	if s.opts.Partial {
		return true
	}
	pseudo := pseudoSum(s.head[s.net:], s.version, s.hdrLen-s.l4+s.payload)
	sum = checksum.Combine(sum, pseudo)
	return checksum.Checksum(s.head[s.l4:s.hdrLen], sum) == 0xffff
}

// PutHeader writes the headers of segment i, 0 <= i < Segments, into dst, which
// must have HeaderLen bytes. sum is the checksum.Checksum of the segment's
// payload, 0 if it has none. Lengths and checksums are final.
func (s *Splitter) PutHeader(dst []byte, i int, sum uint16) {
	dst = dst[:s.hdrLen]
	copy(dst, s.head)
	off, n := s.Payload(i)
	if s.count > 1 {
		s.putIP(dst[s.net:s.l4], i, s.hdrLen-s.net+n)
	}
	s.putTCP(dst[s.l4:], i, off)
	tcpLen := s.hdrLen - s.l4 + n
	tcp := dst[s.l4:]
	sum = checksum.Combine(sum, checksum.Combine(s.fixed, uint16(tcpLen)))
	sum = checksum.Combine(sum, checksum.Checksum(tcp[tcpSeq:tcpSeq+4], 0))
	sum = checksum.Combine(sum, binary.BigEndian.Uint16(tcp[tcpOffset:]))
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], ^sum)
}

// Offsets into an IPv4 header (RFC 791, section 3.1) and a TCP header (RFC 9293,
// section 3.1).
const (
	ipLength   = 2
	ipID       = 4
	ipFlags    = 6
	ipChecksum = 10

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

// prepare sums what is the same in all segments: the pseudo-header but for the
// length, and the TCP header but for sequence number, flags and checksum.
func (s *Splitter) prepare() {
	tcp := s.head[s.l4:s.hdrLen]
	sum := pseudoSum(s.head[s.net:], s.version, 0)
	sum = checksum.Checksum(tcp[:tcpSeq], sum)
	sum = checksum.Checksum(tcp[tcpSeq+4:tcpOffset], sum)
	sum = checksum.Checksum(tcp[tcpFlags+1:tcpChecksum], sum)
	s.fixed = checksum.Checksum(tcp[tcpChecksum+2:], sum)
	if ip := s.head[s.net:s.l4]; s.version == 4 {
		sum = binary.BigEndian.Uint16(ip)
		sum = checksum.Checksum(ip[ipFlags:ipChecksum], sum)
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

// pseudoSum is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200,
// section 8.1) over the IP header at ip for n bytes of TCP.
func pseudoSum(ip []byte, version uint8, n int) uint16 {
	sum := checksum.Combine(uint16(header.TCPProtocolNumber), uint16(n))
	if version == 4 {
		return checksum.Checksum(ip[12:20], sum)
	}
	return checksum.Checksum(ip[8:40], sum)
}
