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

// A frame is spelt by 9 bytes (length, link header, protocol, GSO type and
// checksum state, checksum start and offset) and then its bytes.
func spellFrame(f packettest.Frame, state endpoint.ChecksumState, gso stack.GSOType, start, offset uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(f.Data)))
	b = append(b, byte(f.LinkHdrLen), protocolByte(f.Protocol), byte(state)|byte(gso)<<4)
	b = binary.BigEndian.AppendUint16(b, start)
	b = binary.BigEndian.AppendUint16(b, offset)
	return append(b, f.Data...)
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
	for len(b) >= 9 && len(frames) < 64 {
		n := min(int(binary.BigEndian.Uint16(b)), len(b)-9)
		f := endpoint.Frame{
			Data:           b[9 : 9+n : 9+n],
			LinkHdrLen:     int(int8(b[2])), // -128 to 127
			Protocol:       tcpip.NetworkProtocolNumber(protocols[int(b[3])%len(protocols)]),
			Checksum:       endpoint.ChecksumState(b[4] & 15),
			GSOType:        stack.GSOType(b[4] >> 4),
			ChecksumStart:  binary.BigEndian.Uint16(b[5:]),
			ChecksumOffset: binary.BigEndian.Uint16(b[7:]),
		}
		frames = append(frames, f)
		b = b[9+n:]
	}
	return frames
}

// Whatever comes, nothing panics, each frame is delivered, by itself or merged,
// and counted once, and the borrowed bytes stay as they are.
func FuzzDeliverFrames(f *testing.F) {
	add := func(frames ...[]byte) { f.Add(bytes.Join(frames, nil)) }
	for _, tcp := range kinds { // each framing, in packets that merge
		segments, _ := flow(tcp, 3, 20)
		var all [][]byte
		for _, s := range segments {
			all = append(all, spellFrame(s, endpoint.ChecksumNone, stack.GSONone, 0, 0))
		}
		add(all...)
	}
	tcp := packettest.TCP{Payload: make([]byte, 30), Partial: true}.Frame()
	add(spellFrame(tcp, endpoint.ChecksumPartial, stack.GSONone, 20, 16))        // a partial checksum
	add(spellFrame(tcp, endpoint.ChecksumPartial, stack.GSOTCPv4, 65535, 65535)) // in no place
	add(spellFrame(tcp, endpoint.ChecksumPartial, stack.GSONone, 69, 0))         // half in a place
	add(spellFrame(tcp, endpoint.ChecksumVerified, stack.GSOTCPv6, 0, 0), spellFrame(tcp, 9, 9, 0, 0))
	short := tcp
	short.Data, short.LinkHdrLen = tcp.Data[:10], 14 // shorter than its link header
	empty := packettest.Frame{Protocol: packettest.ProtocolVLAN, LinkHdrLen: -1}
	add(spellFrame(short, 0, 0, 0, 0), spellFrame(empty, 0, 0, 0, 0), spellFrame(tcp, 0, 0, 0, 0))

	e := endpoint.New(newFakeLink(), &endpoint.Config{Workers: 1})
	f.Cleanup(e.Close)
	n := &fakeNIC{}
	n.promiscuous.Store(true)
	e.Attach(n)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := append([]byte{}, b...)
		frames := readFrames(b)
		was := e.Stats()
		e.DeliverFrames(frames)
		got := n.take()
		if !bytes.Equal(b, before) {
			t.Error("borrowed bytes were changed")
		}
		s := e.Stats()
		verdicts, joined := verdictSum(s)
		verdictsBefore, joinedBefore := verdictSum(was)
		switch {
		case s.Received-was.Received != uint64(len(frames)) || verdicts-verdictsBefore != uint64(len(frames)):
			t.Errorf("%d frames counted %d times, with %d verdicts", len(frames), s.Received-was.Received, verdicts-verdictsBefore)
		case uint64(len(got)) != s.Delivered-was.Delivered || len(got) != len(frames)-int(joined-joinedBefore):
			t.Errorf("%d frames, %d joined, %d counted as delivered, %d delivered", len(frames), joined-joinedBefore, s.Delivered-was.Delivered, len(got))
		}
	})
}
