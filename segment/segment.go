// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// Errors of Splitter.Init. Each means that the packet cannot be sent and has to
// be dropped.
var (
	// ErrNotSegmentable: larger than the MTU, but neither an unfragmented TCP
	// packet nor a UDP super-packet. A UDP packet without a segment size is
	// one datagram, whose borders mean something: only IP could fragment it.
	ErrNotSegmentable = errors.New("segment: packet exceeds the MTU and is neither TCP nor a UDP super-packet: drop it")
	// ErrMalformed: the headers are cut short or contradict the packet's size.
	ErrMalformed = errors.New("segment: malformed headers: drop the packet")
	// ErrMTU: the MTU leaves no room for payload behind the headers, or not
	// for a whole datagram.
	ErrMTU = errors.New("segment: MTU too small for the packet's headers or datagrams: drop the packet")
)

// Options says how a packet is to be sent.
type Options struct {
	// SegmentSize is the payload of a segment in bytes: of TCP the MSS less
	// TCP options, where 0, or more than the MTU allows, means as much as it
	// allows; of UDP the payload of a datagram, where 0 means that the packet
	// is one datagram.
	SegmentSize int
	// MTU is the largest IP packet that the link takes, in bytes.
	MTU int
	// FixedID gives every segment the IPv4 ID of the super-packet, instead of
	// counting up from it.
	FixedID bool
	// Partial says that the TCP or UDP checksum field holds only the sum of
	// the pseudo-header, as netstack's TCP leaves it where it hands down GSO
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
	l4      int // offset of the TCP or UDP header
	version uint8
	proto   uint8 // protoTCP or protoUDP
	hdrLen  int   // link header to TCP options or UDP header
	payload int   // bytes in the whole packet
	size    int   // bytes in a segment
	count   int
	fixed   uint16 // sum of what all segments' transport and pseudo-headers share
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
		case fits && err == ErrNotSegmentable:
			return ErrMalformed // a partial checksum that nobody can finish
		}
		return err
	}
	if err := s.setSize(o.MTU - (s.hdrLen - s.net)); err != nil {
		return err
	}
	if s.payload <= s.size && !o.Partial {
		return nil
	}
	s.count = max(1, (s.payload+s.size-1)/max(1, s.size))
	s.prepareIP()
	if s.proto == protoUDP {
		s.prepareUDP()
	} else {
		s.prepareTCP()
	}
	return nil
}

// setSize decides on the payload of a segment where the MTU leaves room for so
// much. A stream of bytes may be cut anywhere, datagrams are what they are.
func (s *Splitter) setSize(room int) error {
	s.size = s.opts.SegmentSize
	usable := s.size > 0 && s.size <= room
	switch {
	case s.proto == protoUDP && s.size <= 0 && s.payload > room:
		return ErrNotSegmentable
	case room < min(1, s.payload):
		return ErrMTU
	case s.proto == protoUDP && !usable && s.payload > room:
		return ErrMTU
	case !usable:
		s.size = room
	}
	return nil
}

// Segments is the number of packets to send. 0 means the packet as it is. 1
// means one packet with the headers that PutHeader writes, its checksum
// finished.
func (s *Splitter) Segments() int { return s.count }

// Transport is TCP or UDP. It, like all that follows, means something when
// Segments is not 0.
func (s *Splitter) Transport() tcpip.TransportProtocolNumber {
	return tcpip.TransportProtocolNumber(s.proto)
}

// HeaderLen is the number of header bytes of each segment, from the link header
// to the TCP options or the UDP header.
func (s *Splitter) HeaderLen() int { return s.hdrLen }

// NetworkOffset and TransportOffset are where the IP and the TCP or UDP header
// begin in what PutHeader writes.
func (s *Splitter) NetworkOffset() int { return s.net }

// TransportOffset: see NetworkOffset.
func (s *Splitter) TransportOffset() int { return s.l4 }

// PayloadLen is the payload of the whole packet behind the TCP or UDP header, in
// bytes. It begins HeaderLen bytes after the packet.
func (s *Splitter) PayloadLen() int { return s.payload }

// Payload returns which part of the packet's payload segment i has, 0 <= i <
// Segments.
func (s *Splitter) Payload(i int) (off, n int) {
	off = i * s.size
	return off, min(s.size, s.payload-off)
}

// ChecksumOK verifies a packet whose checksum is not Partial: sum is the
// checksum.Checksum of its whole payload. Splitting gives every segment a right
// checksum, so a packet that came with a wrong one must not be split. Of a
// Partial one it is true, and of a UDP packet that has no checksum: its segments
// get none either. It may be called when Segments is not 0.
func (s *Splitter) ChecksumOK(sum uint16) bool {
	if s.opts.Partial || s.noChecksum() {
		return true
	}
	sum = checksum.Combine(sum, s.pseudoSum(s.hdrLen-s.l4+s.payload))
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
	l4 := dst[s.l4:]
	sum = checksum.Combine(sum, checksum.Combine(s.fixed, uint16(len(l4)+n)))
	if s.proto == protoUDP {
		s.putUDP(l4, len(l4)+n, sum)
	} else {
		s.putTCP(l4, i, off)
		putTCPChecksum(l4, sum)
	}
}
