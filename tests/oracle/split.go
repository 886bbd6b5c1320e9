// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/oracle/kernel"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// maxSegments is what a random super-packet is split into at most; Linux takes
// 128 datagrams.
const maxSegments = 120

// superPacket is a packet that the kernel and we are to split.
type superPacket struct {
	frame packettest.Frame
	l4    int // offset of the transport header in frame.Data
	udp   bool
	size  int // of a segment
	parts int
}

// randomSuperPacket makes a TCP or UDP super-packet as a stack hands it to a
// device: its checksum field holds the sum of the pseudo-header.
func randomSuperPacket(r *rand.Rand) superPacket {
	t := packettest.TCP{
		Link: packettest.Link{Ethernet: true},
		IP: packettest.IP{
			V6: r.IntN(2) == 0, DF: r.IntN(2) == 0, TOS: byte(r.Uint32()), TTL: 1 + byte(r.IntN(255)),
			ID: uint16(r.Uint32()) | 0xff80*uint16(r.IntN(2)), Label: r.Uint32(),
		},
		SrcPort: uint16(r.Uint32()) | 1024, DstPort: uint16(r.Uint32()) | 1,
		Seq: r.Uint32() | 0xffff8000*uint32(r.IntN(2)), Ack: r.Uint32(), Window: uint16(r.Uint32()), Urgent: uint16(r.Uint32()),
		Flags: byte(r.Uint32()), AE: r.IntN(4) == 0, Reserved: byte(r.IntN(4) / 3 * r.IntN(8)),
		Options: make([]byte, r.IntN(11)*4),
		Partial: true,
	}
	if r.IntN(4) == 0 {
		t.Link.VLAN = 1 + uint16(r.IntN(4000))
	}
	if r.IntN(4) == 0 {
		t.IP.Options = ipOptionBytes(r.IntN(11))
		t.IP.Ext = []packettest.Ext{packettest.HopByHop(0), packettest.DestinationOptions(0), packettest.Routing(0)}[r.IntN(3):]
	}
	for i := range t.Options {
		t.Options[i] = byte(r.Uint32())
	}
	s := superPacket{size: []int{1448, 1 + r.IntN(1500), 1 + r.IntN(16), 1 + r.IntN(30000)}[r.IntN(4)], udp: r.IntN(3) == 0}
	most := 65535 - 40 - 64 - 60
	n := s.size + 1 + r.IntN(s.size*maxSegments)
	if r.IntN(4) == 0 { // whole segments, or one byte beside
		n = s.size*(2+r.IntN(20)) + r.IntN(3) - 1
	}
	t.Payload = packettest.Stream(t.Seq, min(max(n, s.size+1), most))
	s.parts = (len(t.Payload) + s.size - 1) / s.size
	s.frame = t.Frame()
	if s.udp {
		s.frame = packettest.UDP{
			Link: t.Link, IP: t.IP, SrcPort: t.SrcPort, DstPort: t.DstPort, Payload: t.Payload, Partial: true,
		}.Frame()
	}
	s.l4 = s.frame.NetOffset() + readPacket(s.frame.Data).l4
	return s
}

// ipOptionBytes are IPv4 options that every router copies and none acts on.
func ipOptionBytes(words int) []byte {
	b := make([]byte, 4*words)
	for i := range b {
		b[i] = 1 // No Operation (RFC 791)
	}
	return b
}

// ours splits it with this library.
func (s *superPacket) ours() [][]byte {
	return segments(s.frame.Data, segment.Options{
		SegmentSize: s.size, MTU: 65535, Partial: true, LinkHdrLen: s.frame.NetOffset(),
	})
}

// question is the packet as the kernel wants it.
func (s *superPacket) question() kernel.Frame {
	data := s.frame.Data
	f := kernel.Frame{Data: data, GSOSize: s.size, NeedsCsum: true, CsumStart: s.l4}
	switch v6 := data[s.frame.NetOffset()]>>4 == 6; {
	case s.udp:
		f.GSOType, f.CsumOffset = kernel.GSOUDP, 6
	case v6:
		f.GSOType, f.CsumOffset = kernel.GSOTCPv6, 16
	default:
		f.GSOType, f.CsumOffset = kernel.GSOTCPv4, 16
	}
	f.ECN = !s.udp && data[s.l4+13]&packettest.CWR != 0
	return f
}

// split compares our splitting with the kernel's. It returns the difference, or
// "".
func split(gso *kernel.GSO, s superPacket) (difference string, err error) {
	ours := s.ours()
	theirs, err := gso.Split(s.question())
	if err != nil {
		return "", err
	}
	for i := range min(len(ours), len(theirs)) {
		if d := packettest.Diff(newFrame(ours[i]), newFrame(theirs[i])); d != "" {
			return fmt.Sprintf("segment %d of %d, kernel's wanted: %s", i, s.parts, d), nil
		}
	}
	if len(ours) != len(theirs) {
		return fmt.Sprintf("we make %d segments, the kernel %d", len(ours), len(theirs)), nil
	}
	return "", nil
}
