// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/inbound"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// frameOf is a frame as a reader makes it.
func frameOf(p packettest.Frame) endpoint.Frame {
	return endpoint.Frame{Data: p.Data, LinkHdrLen: p.LinkHdrLen, Protocol: tcpip.NetworkProtocolNumber(p.Protocol)}
}

// TestLabel: what a virtio_net_hdr may say of a frame, and what makes it wrong.
func TestLabel(t *testing.T) {
	ether := packettest.Link{Ethernet: true}
	tcp4 := packettest.TCP{Payload: make([]byte, 5000)}
	tcp6 := packettest.TCP{IP: packettest.IP{V6: true}, Payload: make([]byte, 5000)}
	udp4 := packettest.UDP{Payload: make([]byte, 5000)}
	bare := func(b []byte) packettest.Frame { return packettest.Link{}.Wrap(b) }
	for _, tt := range []struct {
		name  string
		hdr   vnetHdr
		frame packettest.Frame
		ok    bool
		gso   stack.GSOType
		sum   endpoint.ChecksumState
	}{
		{"nothing", vnetHdr{}, bare(tcp4.Bytes()), true, 0, 0},
		{"checksum verified", vnetHdr{flags: flagDataValid}, bare(tcp4.Bytes()), true, 0, endpoint.ChecksumVerified},
		{"checksum partial", vnetHdr{flags: flagNeedsCsum, csumStart: 20, csumOffset: 16}, bare(tcp4.Bytes()), true, 0, endpoint.ChecksumPartial},
		{"partial wins", vnetHdr{flags: flagNeedsCsum | flagDataValid, csumStart: 20, csumOffset: 16}, bare(tcp4.Bytes()), true, 0, endpoint.ChecksumPartial},
		{"unknown flags", vnetHdr{flags: 0xfc}, bare(tcp4.Bytes()), true, 0, 0},
		{"TCPv4", vnetHdr{flags: flagNeedsCsum, gsoType: gsoTCPv4, gsoSize: 1448, csumStart: 20, csumOffset: 16}, bare(tcp4.Bytes()), true, stack.GSOTCPv4, endpoint.ChecksumPartial},
		{"TCPv4, ECN", vnetHdr{gsoType: gsoTCPv4 | gsoECN, gsoSize: 1448}, bare(tcp4.Bytes()), true, stack.GSOTCPv4, 0},
		{"TCPv6", vnetHdr{gsoType: gsoTCPv6, gsoSize: 1428}, bare(tcp6.Bytes()), true, stack.GSOTCPv6, 0},
		{"TCPv4, Ethernet", vnetHdr{flags: flagNeedsCsum, gsoType: gsoTCPv4, gsoSize: 1448, csumStart: 34, csumOffset: 16}, ether.Wrap(tcp4.Bytes()), true, stack.GSOTCPv4, endpoint.ChecksumPartial},
		{"TCPv4, VLAN", vnetHdr{gsoType: gsoTCPv4, gsoSize: 1448}, packettest.Link{Ethernet: true, VLAN: 7}.Wrap(tcp4.Bytes()), true, stack.GSOTCPv4, 0},
		{"UDP", vnetHdr{flags: flagNeedsCsum, gsoType: gsoUDP, gsoSize: 1400, csumStart: 20, csumOffset: 6}, bare(udp4.Bytes()), true, 0, endpoint.ChecksumPartial},

		{"header longer than the frame", vnetHdr{hdrLen: 60000}, bare(tcp4.Bytes()), false, 0, 0},
		{"checksum start beyond the frame", vnetHdr{flags: flagNeedsCsum, csumStart: 6000, csumOffset: 16}, bare(tcp4.Bytes()), false, 0, 0},
		{"checksum place beyond the frame", vnetHdr{flags: flagNeedsCsum, csumStart: 20, csumOffset: 6000}, bare(tcp4.Bytes()), false, 0, 0},
		{"checksum place half beyond the frame", vnetHdr{flags: flagNeedsCsum, csumStart: 20, csumOffset: 5019}, bare(tcp4.Bytes()), false, 0, 0},
		{"checksum overflows", vnetHdr{flags: flagNeedsCsum, csumStart: 65535, csumOffset: 65535}, bare(tcp4.Bytes()), false, 0, 0},
		{"checksum in the IP header", vnetHdr{flags: flagNeedsCsum, csumStart: 0, csumOffset: 10}, bare(tcp4.Bytes()), false, 0, 0},
		{"checksum in the Ethernet header", vnetHdr{flags: flagNeedsCsum, csumStart: 20, csumOffset: 16}, ether.Wrap(tcp4.Bytes()), false, 0, 0},
		{"no segment size", vnetHdr{flags: flagNeedsCsum, gsoType: gsoTCPv4, csumStart: 20, csumOffset: 16}, bare(tcp4.Bytes()), false, 0, 0},
		{"IPv6 that is IPv4", vnetHdr{gsoType: gsoTCPv6, gsoSize: 1448}, bare(tcp4.Bytes()), false, 0, 0},
		{"IPv4 that is IPv6", vnetHdr{gsoType: gsoTCPv4, gsoSize: 1448}, bare(tcp6.Bytes()), false, 0, 0},
		{"TCP that is UDP", vnetHdr{gsoType: gsoTCPv4, gsoSize: 1448}, bare(udp4.Bytes()), false, 0, 0},
		{"UDP that is TCP", vnetHdr{flags: flagNeedsCsum, gsoType: gsoUDP, gsoSize: 1400, csumStart: 20, csumOffset: 6}, bare(tcp4.Bytes()), false, 0, 0},
		{"UDP with a checksum", vnetHdr{gsoType: gsoUDP, gsoSize: 1400}, bare(udp4.Bytes()), false, 0, 0},
		{"UDP, ECN", vnetHdr{flags: flagNeedsCsum, gsoType: gsoUDP | gsoECN, gsoSize: 1400, csumStart: 20, csumOffset: 6}, bare(udp4.Bytes()), false, 0, 0},
		{"UDP fragmentation", vnetHdr{gsoType: 3, gsoSize: 1400}, bare(udp4.Bytes()), false, 0, 0},
		{"unknown type", vnetHdr{gsoType: 77, gsoSize: 1400}, bare(tcp4.Bytes()), false, 0, 0},
		{"ECN alone", vnetHdr{gsoType: gsoECN, gsoSize: 1400}, bare(tcp4.Bytes()), false, 0, 0},
		{"super-packet of one byte", vnetHdr{gsoType: gsoTCPv4, gsoSize: 1400}, bare([]byte{0x45}), false, 0, 0},
		{"super-packet of a link header", vnetHdr{gsoType: gsoTCPv4, gsoSize: 1400}, ether.Wrap(nil), false, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := frameOf(tt.frame)
			ok := tt.hdr.label(&f)
			if ok != tt.ok {
				t.Fatalf("ok = %v, want %v", ok, tt.ok)
			}
			if ok && (f.GSOType != tt.gso || f.Checksum != tt.sum) {
				t.Errorf("type %v, checksum %v; want %v, %v", f.GSOType, f.Checksum, tt.gso, tt.sum)
			}
		})
	}
}

// TestVnetHdrLayout: the bytes are those of the kernel's struct.
func TestVnetHdrLayout(t *testing.T) {
	want := vnetHdr{flags: 1, gsoType: 4, hdrLen: 54, gsoSize: 1428, csumStart: 34, csumOffset: 16}
	b := make([]byte, vnetHdrLenMax)
	b[10], b[11] = 9, 9
	want.encode(b)
	if b[0] != 1 || b[1] != 4 || b[10] != 0 || b[11] != 0 {
		t.Errorf("% x", b)
	}
	var got vnetHdr
	got.decode(b)
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// FuzzVnetHdr: whatever comes, header and frame are refused or make sense, and
// what is done with them stays within the frame.
func FuzzVnetHdr(f *testing.F) {
	seed := func(h vnetHdr, p packettest.Frame) {
		b := make([]byte, vnetHdrLen)
		h.encode(b)
		f.Add(append(b, p.Data...), p.LinkHdrLen > 0)
	}
	seed(vnetHdr{}, packettest.TCP{}.Frame())
	seed(vnetHdr{flags: 1, gsoType: 1, gsoSize: 500, csumStart: 20, csumOffset: 16}, packettest.TCP{Payload: make([]byte, 1500), Partial: true}.Frame())
	seed(vnetHdr{flags: 1, gsoType: 4, gsoSize: 1, csumStart: 40, csumOffset: 16}, packettest.TCP{IP: packettest.IP{V6: true}, Payload: make([]byte, 90), Partial: true}.Frame())
	seed(vnetHdr{flags: 1, gsoType: 5, gsoSize: 500, csumStart: 34, csumOffset: 6}, packettest.UDP{Link: packettest.Link{Ethernet: true}, Payload: make([]byte, 1500), Partial: true}.Frame())
	seed(vnetHdr{flags: 1, csumStart: 65535, csumOffset: 65535}, packettest.TCP{}.Frame())
	f.Fuzz(func(t *testing.T, data []byte, ethernet bool) {
		link := 0
		if ethernet {
			link = 14
		}
		if len(data) <= vnetHdrLen+link || len(data) > 70000 {
			return // a runt, which take has dropped, or too large
		}
		var h vnetHdr
		h.decode(data)
		frame := endpoint.Frame{Data: data[vnetHdrLen:], LinkHdrLen: link, Protocol: 0x0800}
		if ethernet {
			frame.Protocol = header.Ethernet(frame.Data).Type()
		}
		if !h.label(&frame) {
			return
		}
		if frame.Checksum == endpoint.ChecksumPartial {
			inbound.FinishChecksum(append([]byte{}, frame.Data...), frame.Data, int(frame.ChecksumStart), int(frame.ChecksumOffset))
		}
		if frame.GSOSize == 0 {
			return
		}
		var s inbound.Splitter
		n, _ := s.Init(&inbound.Packet{
			Data: frame.Data, LinkHdrLen: vlan.NetworkOffset(frame.Protocol, link), SegmentSize: int(frame.GSOSize),
			Partial: frame.Checksum == endpoint.ChecksumPartial, Trusted: frame.Checksum == endpoint.ChecksumVerified,
		})
		total := 0
		for i := range n {
			piece := make([]byte, s.Len(i))
			s.Put(piece, i)
			total += len(piece)
		}
		// All of the payload is there once, and the headers n times.
		if headers := total - len(frame.Data); n > 1 && (headers <= 0 || headers%(n-1) != 0) {
			t.Errorf("%d bytes in %d pieces of %d", total, n, len(frame.Data))
		}
	})
}
