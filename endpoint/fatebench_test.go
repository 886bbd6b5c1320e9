// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// askedNIC is a NIC of netstack's as far as it is asked, and drops what it gets.
type askedNIC struct {
	sinkNIC
	nic interface {
		CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool
		Promiscuous() bool
		Spoofing() bool
	}
}

func (n *askedNIC) CheckLocalAddress(p tcpip.NetworkProtocolNumber, a tcpip.Address) bool {
	return n.nic.CheckLocalAddress(p, a)
}
func (n *askedNIC) Promiscuous() bool { return n.nic.Promiscuous() }
func (n *askedNIC) Spoofing() bool    { return n.nic.Spoofing() }

// newAskedNIC has the address 10.0.0.2 and some more.
func newAskedNIC(tb testing.TB) *askedNIC {
	tb.Helper()
	l := newFakeLink()
	s := stack.New(stack.Options{NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol}})
	tb.Cleanup(s.Destroy)
	if err := s.CreateNIC(1, l); err != nil {
		tb.Fatal(err)
	}
	for i := range byte(8) {
		a := tcpip.AddrFrom4([4]byte{10, 0, 0, 2 + i}).WithPrefix()
		s.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: a}, stack.AddressProperties{})
	}
	n := &askedNIC{}
	n.nic = l.dispatcher.(interface {
		CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool
		Promiscuous() bool
		Spoofing() bool
	})
	return n
}

// fates are bulk transfers of flows, by turns, that end here or do not.
var fates = []struct {
	name     string
	flows    int
	net      byte // of 10.x.x.y
	forwards bool // the stack forwards by this link
}{
	{"ends", 1, 0, false},
	{"ends/8 addresses", 8, 0, false},
	{"leaves", 1, 9, false},
	{"leaves/8 addresses", 8, 9, false},
	{"ends/forwards too", 1, 0, true},
	{"leaves/forwards too", 1, 9, true},
}

// BenchmarkFate is the cost of a batch of 128 packets, an operation being one of
// them, where they end here and where they do not; compare with "bare" of
// BenchmarkDeliver.
func BenchmarkFate(b *testing.B) {
	for _, fate := range fates {
		b.Run(fate.name, func(b *testing.B) {
			frames := make([]endpoint.Frame, benchBatch)
			for i := range frames {
				flow := i % fate.flows
				addr := netip.AddrFrom4([4]byte{10, fate.net, fate.net, byte(2 + flow)})
				seq := uint32(i/fate.flows) * 1448
				ip := packettest.IP{ID: uint16(i / fate.flows), Dst: addr}
				frames[i] = endpoint.Frame{
					Data:     packettest.TCP{IP: ip, SrcPort: uint16(flow + 1), Seq: seq, Payload: packettest.Stream(seq, 1448)}.Bytes(),
					Protocol: header.IPv4ProtocolNumber,
				}
			}
			b.SetBytes(1488)
			b.ReportAllocs()
			e := endpoint.New(channel.New(1, 1500, ""), nil)
			defer e.Close()
			e.Attach(newAskedNIC(b))
			if fate.forwards {
				var list stack.PacketBufferList
				list.PushBack(forwarded(packettest.TCP{SrcPort: 99}.Frame(), 20))
				e.WritePackets(list)
				list.Reset()
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += benchBatch {
				e.DeliverFrames(frames[:min(benchBatch, b.N-i)])
			}
		})
	}
}

// BenchmarkSplitInbound splits 64 KiB super-packets that do not end here; an
// operation is one of the 45 packets that each becomes. "bare" makes the same
// packets from wire-size frames.
func BenchmarkSplitInbound(b *testing.B) {
	big := packettest.TCP{Payload: packettest.Stream(0, 45*1448), Partial: true, IP: packettest.IP{Dst: elsewhere4}}
	e := endpoint.New(channel.New(1, 1500, ""), nil)
	defer e.Close()
	e.Attach(newAskedNIC(b))
	b.Run("super", func(b *testing.B) {
		f := []endpoint.Frame{super(big, 1448)}
		b.SetBytes(1488)
		b.ReportAllocs()
		for i := 0; i < b.N; i += 45 {
			e.DeliverFrames(f)
		}
	})
	b.Run("bare", func(b *testing.B) {
		var frames []endpoint.Frame
		for _, f := range inSegments(big, 1448) {
			frames = append(frames, endpointFrame(f))
		}
		b.SetBytes(1488)
		b.ReportAllocs()
		for i := 0; i < b.N; i += 45 {
			e.DeliverFrames(frames)
		}
	})
}

// BenchmarkNoteForwarded is what each packet costs that the stack forwards, when it
// leaves.
func BenchmarkNoteForwarded(b *testing.B) {
	e := endpoint.New(discard{newFakeLink()}, nil)
	defer e.Close()
	for name, pkt := range map[string]*stack.PacketBuffer{
		"forwarded": forwarded(packettest.TCP{}.Frame(), 20),
		"own":       outPacket(packettest.TCP{}, whole, stack.GSO{}),
	} {
		b.Run(name, func(b *testing.B) {
			var list stack.PacketBufferList
			list.PushBack(pkt)
			b.ReportAllocs()
			for range b.N {
				e.WritePackets(list)
			}
		})
		pkt.DecRef()
	}
}

// discard is a link that forgets what it is given.
type discard struct{ *fakeLink }

func (discard) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) { return pkts.Len(), nil }
