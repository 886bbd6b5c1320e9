// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// A frame is spelt by 11 bytes (length, link header, protocol, GSO type and
// checksum state, checksum start and offset, GSO size) and then its bytes.
func spellFrame(f packettest.Frame, state endpoint.ChecksumState, gso stack.GSOType, start, offset uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(f.Data)))
	b = append(b, byte(f.LinkHdrLen), protocolByte(f.Protocol), byte(state)|byte(gso)<<4)
	b = binary.BigEndian.AppendUint16(b, start)
	b = binary.BigEndian.AppendUint16(b, offset)
	return append(append(b, 0, 0), f.Data...)
}

// spellSuper is a super-packet as the host makes it.
func spellSuper(f endpoint.Frame) []byte {
	b := spellFrame(packettest.Frame{Data: f.Data, LinkHdrLen: f.LinkHdrLen, Protocol: uint16(f.Protocol)},
		f.Checksum, f.GSOType, f.ChecksumStart, f.ChecksumOffset)
	binary.BigEndian.PutUint16(b[9:], f.GSOSize)
	return b
}

var protocols = []uint16{packettest.ProtocolIPv4, packettest.ProtocolIPv6, packettest.ProtocolVLAN, 0x0806, 0}

func protocolByte(p uint16) byte {
	for i, known := range protocols {
		if p == known {
			return byte(i)
		}
	}
	return byte(len(protocols))
}

func readFrames(b []byte) (frames []endpoint.Frame) {
	for len(b) >= 11 && len(frames) < 64 {
		n := min(int(binary.BigEndian.Uint16(b)), len(b)-11)
		f := endpoint.Frame{
			Data:           b[11 : 11+n : 11+n],
			LinkHdrLen:     int(int8(b[2])), // -128 to 127
			Protocol:       tcpip.NetworkProtocolNumber(protocols[int(b[3])%len(protocols)]),
			Checksum:       endpoint.ChecksumState(b[4] & 15),
			GSOType:        stack.GSOType(b[4] >> 4),
			ChecksumStart:  binary.BigEndian.Uint16(b[5:]),
			ChecksumOffset: binary.BigEndian.Uint16(b[7:]),
			GSOSize:        binary.BigEndian.Uint16(b[9:]),
		}
		frames = append(frames, f)
		b = b[11+n:]
	}
	return frames
}

// Whatever comes, and wherever it is to go, nothing panics, each frame is
// delivered, by itself, merged or split, and counted once, and the borrowed bytes
// stay as they are. What does not end here fits a wire.
func FuzzDeliverFrames(f *testing.F) {
	add := func(frames ...[]byte) { f.Add(bytes.Join(frames, nil)) }
	for _, tcp := range kinds { // each framing, in packets that merge
		segments, _ := flow(tcp, 3, 20)
		var all [][]byte
		for _, s := range segments {
			all = append(all, spellFrame(s, endpoint.ChecksumNone, stack.GSONone, 0, 0))
		}
		add(all...)
		big, half := tcp, tcp // and of super-packets
		big.Payload, half.Payload, half.Partial = make([]byte, 300), make([]byte, 3000), true
		add(spellSuper(super(big, 100)), spellSuper(super(half, 0)), all[0], spellSuper(super(half, 1460)))
	}
	large := packettest.TCP{Payload: make([]byte, 5000)} // worth its own view
	add(spellSuper(super(large, 1460)), spellSuper(super(large, 0)))
	udp := packettest.UDP{Payload: make([]byte, 300)}
	add(spellSuper(superUDP(udp, 100)), spellSuper(superUDP(udp, 2)))
	tcp := packettest.TCP{Payload: make([]byte, 30), Partial: true}.Frame()
	add(spellFrame(tcp, endpoint.ChecksumPartial, stack.GSONone, 20, 16))        // a partial checksum
	add(spellFrame(tcp, endpoint.ChecksumPartial, stack.GSOTCPv4, 65535, 65535)) // in no place
	add(spellFrame(tcp, endpoint.ChecksumPartial, stack.GSONone, 69, 0))         // half in a place
	add(spellFrame(tcp, endpoint.ChecksumVerified, stack.GSOTCPv6, 0, 0), spellFrame(tcp, 9, 9, 0, 0))
	short := tcp
	short.Data, short.LinkHdrLen = tcp.Data[:10], 14 // shorter than its link header
	empty := packettest.Frame{Protocol: packettest.ProtocolVLAN, LinkHdrLen: -1}
	add(spellFrame(short, 0, 0, 0, 0), spellFrame(empty, 0, 0, 0, 0), spellFrame(tcp, 0, 0, 0, 0))

	var sides []*fuzzSide
	for _, local := range []bool{true, false} {
		s := &fuzzSide{e: endpoint.New(newFakeLink(), &endpoint.Config{Workers: 1}), n: &fakeNIC{}}
		f.Cleanup(s.e.Close)
		s.n.promiscuous.Store(local)
		s.n.notLocal.Store(!local)
		s.e.Attach(s.n)
		sides = append(sides, s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := append([]byte{}, b...)
		frames := readFrames(b)
		for _, s := range sides {
			s.deliver(t, frames)
			for i := range frames {
				s.deliver(t, frames[i:i+1])
				own := []endpoint.Frame{viewed(frames[i])}
				s.deliver(t, own)
				if own[0].View != nil {
					own[0].View.Release()
				}
			}
		}
		if !bytes.Equal(b, before) {
			t.Error("borrowed bytes were changed")
		}
	})
}

// fuzzSide is an Endpoint under a NIC that takes everything, or nothing.
type fuzzSide struct {
	e *endpoint.Endpoint
	n *fakeNIC
}

func (s *fuzzSide) deliver(t *testing.T, frames []endpoint.Frame) {
	was := s.e.Stats()
	s.e.DeliverFrames(frames)
	got := s.n.take()
	now := s.e.Stats()
	verdicts, joined := verdictSum(now)
	verdictsBefore, joinedBefore := verdictSum(was)
	joined -= joinedBefore
	split, segments := now.SplitInbound-was.SplitInbound, now.SegmentsInbound-was.SegmentsInbound
	lost := now.DroppedUDP - was.DroppedUDP + now.DroppedSegments - was.DroppedSegments
	switch n := uint64(len(frames)); {
	case now.Received-was.Received != n || verdicts-verdictsBefore != n:
		t.Errorf("%d frames counted %d times, with %d verdicts", n, now.Received-was.Received, verdicts-verdictsBefore)
	case uint64(len(got)) != now.Delivered-was.Delivered || uint64(len(got)) != n-joined-split+segments-lost:
		t.Errorf("%d frames, %d joined, %d delivered, counted %+v", n, joined, len(got), now)
	}
	if split == 1 && len(frames) == 1 {
		piecesOf(t, &frames[0], got)
	}
}

// piecesOf checks what one frame was split into: all of its payload, in its order,
// in packets of the segment size or what the MTU allows.
func piecesOf(t *testing.T, f *endpoint.Frame, got []delivery) {
	var payload []byte
	for i, g := range got {
		net := g.NetOffset()
		ip := g.Data[net:]
		l4, proto := transportOf(ip)
		hdr := l4 + 8
		if proto == 6 {
			hdr = l4 + int(ip[l4+12]>>4)*4
		}
		part := ip[hdr:]
		switch {
		case f.GSOSize > 0 && len(part) > int(f.GSOSize), f.GSOSize == 0 && len(ip) > 1500:
			t.Fatalf("piece %d has %d bytes of payload, in all %d", i, len(part), len(ip))
		case f.GSOSize > 0 && i < len(got)-1 && len(part) != int(f.GSOSize):
			t.Fatalf("piece %d has %d bytes of payload", i, len(part))
		case proto == 6 && !packettest.TCPValid(ip, l4):
			t.Fatalf("piece %d: wrong checksum", i)
		}
		payload = append(payload, part...)
	}
	if !bytes.HasSuffix(f.Data, payload) {
		t.Fatal("the payload is not that of the frame")
	}
}

// transportOf is where the transport header begins, and its protocol.
func transportOf(ip []byte) (l4 int, proto byte) {
	if ip[0]>>4 == 4 {
		return int(ip[0]&15) * 4, ip[9]
	}
	l4, proto = 40, ip[6]
	for proto != 6 && proto != 17 {
		proto, l4 = ip[l4], l4+8+8*int(ip[l4+1])
	}
	return l4, proto
}
