// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func tcpipProtocol(n uint16) tcpip.NetworkProtocolNumber { return tcpip.NetworkProtocolNumber(n) }

// splitAll returns the pieces of a frame.
func splitAll(t *testing.T, f *endpoint.Frame) [][]byte {
	t.Helper()
	var s splitter
	n, ok := s.init(f)
	if !ok {
		t.Fatal("refused")
	}
	var out [][]byte
	for i := range n {
		b := make([]byte, s.len(i))
		s.put(b, i)
		out = append(out, b)
	}
	return out
}

// TestSplitUDP: a UDP super-packet becomes the datagrams that were sent.
func TestSplitUDP(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, link := range []packettest.Link{{}, {Ethernet: true}, {Ethernet: true, VLAN: 5}} {
			payload := packettest.Stream(1, 4100)
			whole := packettest.UDP{Link: link, IP: packettest.IP{V6: v6, ID: 0xffff}, Payload: payload, Partial: true}.Frame()
			f := frameOf(whole)
			l4 := whole.NetOffset() + 20
			if v6 {
				l4 += 20
			}
			f.Checksum, f.ChecksumStart, f.ChecksumOffset, f.GSOSize = endpoint.ChecksumPartial, uint16(l4), 6, 1000
			got := splitAll(t, &f)
			if len(got) != 5 {
				t.Fatalf("%d datagrams, want 5", len(got))
			}
			for i, b := range got {
				want := packettest.UDP{Link: link, IP: packettest.IP{V6: v6, ID: 0xffff + uint16(i)}, Payload: payload[i*1000 : min(4100, (i+1)*1000)]}.Frame()
				if d := packettest.Diff(packettest.Frame{Data: b, LinkHdrLen: want.LinkHdrLen, Protocol: want.Protocol}, want); d != "" {
					t.Errorf("v6 %v, link %+v, datagram %d: %s", v6, link, i, d)
				}
			}
		}
	}
}

// TestSplitRefuses: what splitting would make worse is dropped.
func TestSplitRefuses(t *testing.T) {
	tcp := frameOf(packettest.TCP{Payload: make([]byte, 5000), BadChecksum: true}.Frame())
	tcp.GSOType, tcp.GSOSize = stack.GSOTCPv4, 1000
	many := frameOf(packettest.UDP{Payload: make([]byte, 5000), Partial: true}.Frame())
	many.Checksum, many.ChecksumStart, many.ChecksumOffset, many.GSOSize = endpoint.ChecksumPartial, 20, 6, 10
	short := frameOf(packettest.UDP{Payload: make([]byte, 5000), Partial: true, LengthDelta: -1}.Frame())
	short.Checksum, short.ChecksumStart, short.ChecksumOffset, short.GSOSize = endpoint.ChecksumPartial, 20, 6, 1000
	for name, f := range map[string]*endpoint.Frame{"a wrong checksum": &tcp, "more than 128 datagrams": &many, "a wrong UDP length": &short} {
		var s splitter
		if _, ok := s.init(f); ok {
			t.Errorf("%s was not refused", name)
		}
	}
}
