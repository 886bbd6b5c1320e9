// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package inbound makes what a host left to its device into what would have been on
// a wire. It finishes a checksum, and splits a super-packet, by package segment: for
// a stack that passes it on, for UDP, of which no netstack socket takes one, and for
// a link without an endpoint.
//
// # When not to use it
//
// On the way down: see package outbound, which knows what netstack leaves in its
// packets.
package inbound

import (
	"errors"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
	"github.com/netstack-offload/netstack-offload/segment"
)

// Errors of Splitter.Init, beside those of package segment.
var (
	// ErrChecksum: the packet's checksum is wrong, which splitting would hide.
	ErrChecksum = errors.New("inbound: wrong checksum on a super-packet")
	// ErrSegments: more packets than a host's super-packet is made of, so many
	// that splitting them would be a flood.
	ErrSegments = errors.New("inbound: super-packet of more segments than Linux makes")
)

const (
	maxIPPacket = 65535
	// maxDatagrams is UDP_MAX_SEGMENTS of linux/udp.h. With more, Linux takes no
	// virtio_net_hdr either.
	maxDatagrams = 128
	// minSegment is TCP_MIN_GSO_SIZE of Linux's net/tcp.h: the least MSS that a
	// sender accepts, 48, without 40 bytes of options. GRO may merge smaller
	// ones, but never this many.
	minSegment  = 8
	maxSegments = maxIPPacket / minSegment
)

// Packet is a received packet that may be a super-packet. Its bytes stay the
// caller's.
type Packet struct {
	// Data begins with the link header and ends with the packet.
	Data []byte
	// LinkHdrLen is where the IP header begins, behind a VLAN tag if there is
	// one.
	LinkHdrLen int
	// SegmentSize is the payload of a segment in bytes. 0 means unknown: TCP is
	// then split as MTU allows, and anything else left alone.
	SegmentSize int
	// MTU is the largest IP packet in bytes where SegmentSize is 0. A known
	// size is what the sender chose, whatever the MTU: whether that passes is
	// for who sends it on to say.
	MTU int
	// FixedID gives every segment the IPv4 ID of the packet; otherwise they
	// count up from it.
	FixedID bool
	// Partial says that the checksum field holds the sum of the pseudo-header
	// only. Trusted says that the checksum, where it is not partial, need not be
	// verified.
	Partial, Trusted bool
}

// Splitter splits one packet after the other. The zero value is ready for Init.
// It is not safe for concurrent use, and allocates nothing.
type Splitter struct {
	seg  segment.Splitter
	data []byte
}

// Init begins with p, the bytes of which it borrows until the next Init or Drop.
// It returns how many packets p becomes, 0 if it is to be taken as it is. After an
// error it cannot be split.
func (s *Splitter) Init(p *Packet) (n int, err error) {
	s.data = p.Data
	mtu := maxIPPacket
	if p.SegmentSize <= 0 {
		mtu = p.MTU
	}
	if p.LinkHdrLen < 0 || p.LinkHdrLen > len(p.Data) {
		return 0, segment.ErrMalformed
	}
	err = s.seg.Init(p.Data, len(p.Data), segment.Options{
		SegmentSize: p.SegmentSize,
		MTU:         mtu,
		FixedID:     p.FixedID,
		Partial:     p.Partial,
		LinkHdrLen:  p.LinkHdrLen,
	})
	if err != nil {
		return 0, err
	}
	n = s.seg.Segments()
	switch {
	case n == 0 && p.SegmentSize > 0 && s.seg.PayloadLen() > p.SegmentSize:
		return 0, segment.ErrMalformed // to package segment a packet that fits
	case n == 0:
		return 0, nil
	case n > maxDatagrams && s.seg.Transport() == header.UDPProtocolNumber, n > maxSegments:
		return 0, ErrSegments
	case !p.Trusted && !s.seg.ChecksumOK(sum.Bytes(p.Data[s.seg.HeaderLen():], 0)):
		return 0, ErrChecksum
	}
	return n, nil
}

// Drop forgets the packet's bytes.
func (s *Splitter) Drop() { *s = Splitter{} }

// Len is the size in bytes of packet i, link header included.
func (s *Splitter) Len(i int) int {
	_, n := s.seg.Payload(i)
	return s.seg.HeaderLen() + n
}

// Put writes packet i to dst, which must have Len(i) bytes. Its checksums are
// final.
func (s *Splitter) Put(dst []byte, i int) {
	hdrLen := s.seg.HeaderLen()
	off, n := s.seg.Payload(i)
	s.seg.PutHeader(dst[:hdrLen], i, sum.Copy(dst[hdrLen:], s.data[hdrLen+off:hdrLen+off+n]))
}
