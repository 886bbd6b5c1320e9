// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"fmt"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// flow is n segments of a stream that merge, and the packet that they become.
func flow(t packettest.TCP, n, size int) (segments []packettest.Frame, merged packettest.Frame) {
	all := t
	all.Payload = packettest.Stream(t.Seq, n*size)
	for i := range n {
		s := t
		s.Seq += uint32(i * size)
		s.IP.ID += uint16(i)
		s.Payload = packettest.Stream(s.Seq, size)
		segments = append(segments, s.Frame())
	}
	return segments, all.Frame()
}

// kinds are the TCP packets that merging is tried with.
var kinds = map[string]packettest.TCP{
	"IPv4":          {Seq: 100, Ack: 7, Window: 512, IP: packettest.IP{ID: 9, DF: true}},
	"IPv4Timestamp": {Seq: 0xfffff000, Options: packettest.Timestamp(1, 2)},
	"IPv6":          {Seq: 5, IP: packettest.IP{V6: true, Label: 77}},
	"IPv6Options": {IP: packettest.IP{V6: true, Ext: []packettest.Ext{
		packettest.HopByHop(1), packettest.DestinationOptions(2)}}},
	"Ethernet":     {Link: packettest.Link{Ethernet: true}},
	"EthernetIPv6": {Link: packettest.Link{Ethernet: true}, IP: packettest.IP{V6: true}},
	"VLAN":         {Link: packettest.Link{Ethernet: true, VLAN: 5}},
	"VLANIPv6":     {Link: packettest.Link{Ethernet: true, VLAN: 5}, IP: packettest.IP{V6: true}},
}

func headerLen(t packettest.TCP) int { t.Payload = nil; return len(t.Frame().Data) }

// A merged packet is one view of headers and one of payload, with right lengths
// and checksums.
func TestMerged(t *testing.T) {
	for name, tcp := range kinds {
		for _, size := range []int{1, 7, 1000, 1448} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				r := newRig(t, nil, nil)
				segments, want := flow(tcp, 12, size)
				for path, got := range map[string][]delivery{
					"frames":  r.frames(segments...),
					"packets": r.packets(whole, segments...),
				} {
					if len(got) != 1 {
						t.Fatalf("%s: %d packets delivered, want 1", path, len(got))
					}
					g := got[0]
					if d := packettest.Diff(g.Frame, want); d != "" {
						t.Errorf("%s: %s", path, d)
					}
					if !sums(g.IP()) {
						t.Errorf("%s: wrong checksum", path)
					}
					if h := headerLen(tcp); !slices.Equal(g.views, []int{h, 12 * size}) {
						t.Errorf("%s: views of %v bytes, want headers and payload: [%d %d]", path, g.views, h, 12*size)
					}
					if uint16(g.protocol) != want.Protocol {
						t.Errorf("%s: NetworkProtocolNumber %#x, want %#x", path, g.protocol, want.Protocol)
					}
				}
			})
		}
	}
}

// A merged packet keeps the flags that its last member had.
func TestMergedFlags(t *testing.T) {
	r := newRig(t, nil, nil)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 100)}
	next := tcp
	next.Seq, next.IP.ID, next.Flags = 100, 1, packettest.ACK|packettest.PSH|packettest.FIN
	next.Payload = packettest.Stream(100, 30)
	want := next
	want.Seq, want.IP.ID, want.Payload = 0, 0, packettest.Stream(0, 130)
	got := r.frames(tcp.Frame(), next.Frame())
	if len(got) != 1 {
		t.Fatalf("%d packets delivered, want 1", len(got))
	}
	if d := packettest.Diff(got[0].Frame, want.Frame()); d != "" {
		t.Error(d)
	}
}

// Packets that nothing may be merged with come out bit for bit, in their order,
// on both paths.
func TestSingles(t *testing.T) {
	data := packettest.Stream(0, 200)
	tcp := packettest.TCP{Payload: data}
	singles := map[string]packettest.Frame{
		"data":           tcp.Frame(),
		"ack":            packettest.TCP{}.Frame(),
		"syn":            packettest.TCP{Flags: packettest.SYN, Options: packettest.Timestamp(1, 0)}.Frame(),
		"rst":            packettest.TCP{Flags: packettest.RST, SrcPort: 5}.Frame(),
		"bad checksum":   packettest.TCP{Payload: data, BadChecksum: true, SrcPort: 6}.Frame(),
		"stored ffff":    packettest.TCP{Payload: data, FFFF: true, SrcPort: 7}.Frame(),
		"IPv4 options":   packettest.TCP{Payload: data, SrcPort: 8, IP: packettest.IP{Options: make([]byte, 40)}, Options: make([]byte, 40)}.Frame(),
		"fragment":       packettest.TCP{Payload: data, SrcPort: 9, IP: packettest.IP{MF: true}}.Frame(),
		"udp":            packettest.UDP{Payload: data}.Frame(),
		"udp6 large":     packettest.UDP{IP: packettest.IP{V6: true}, Payload: packettest.Stream(0, 1400)}.Frame(),
		"icmp":           packettest.ICMP{Payload: data}.Frame(),
		"icmp6":          packettest.ICMP{IP: packettest.IP{V6: true}, Payload: data}.Frame(),
		"long":           packettest.TCP{Payload: packettest.Stream(0, 65000), SrcPort: 10}.Frame(),
		"padded":         packettest.TCP{Payload: data[:1], Link: packettest.Link{Ethernet: true, Pad: 60}}.Frame(),
		"trailing":       packettest.TCP{Payload: data, SrcPort: 11, Link: packettest.Link{Trailing: data}}.Frame(),
		"length too big": packettest.TCP{Payload: data, SrcPort: 12, IP: packettest.IP{LengthDelta: 99}}.Frame(),
		"arp":            {Data: data[:42], LinkHdrLen: 14, Protocol: 0x0806},
		"one byte":       {Data: []byte{0x45}, Protocol: packettest.ProtocolIPv4},
		"link only":      {Data: tcp.Frame().Data[:14], LinkHdrLen: 14, Protocol: packettest.ProtocolIPv4},
		"wrong protocol": {Data: tcp.Bytes(), Protocol: packettest.ProtocolIPv6},
		"other protocol": {Data: tcp.Bytes(), Protocol: 0x88cc},
		"cut in tcp":     {Data: tcp.Bytes()[:30], Protocol: packettest.ProtocolIPv4},
	}
	var all []packettest.Frame
	r := newRig(t, nil, nil)
	for name, f := range singles {
		all = append(all, f)
		for path, got := range map[string][]delivery{"frames": r.frames(f), "packets": r.packets(cut{33, 0}, f)} {
			if len(got) != 1 {
				t.Errorf("%s, %s: %d packets", name, path, len(got))
			} else if d := packettest.Diff(got[0].Frame, f); d != "" {
				t.Errorf("%s, %s: %s", name, path, d)
			}
		}
	}
	for path, got := range map[string][]delivery{"frames": r.frames(all...), "packets": r.packets(whole, all...)} {
		if len(got) != len(all) {
			t.Fatalf("%s: %d packets, want %d", path, len(got), len(all))
		}
		for i := range all {
			if d := packettest.Diff(got[i].Frame, all[i]); d != "" {
				t.Errorf("%s: packet %d: %s", path, i, d)
			}
		}
	}
}

// A packet that passes by a queue is the very packet that the link delivered.
func TestSinglePassesAsItself(t *testing.T) {
	r := newRig(t, nil, nil)
	pkt := inbound(packettest.TCP{Payload: make([]byte, 10)}.Frame(), whole)
	defer pkt.DecRef()
	r.e.DeliverNetworkPacket(packettest.ProtocolIPv4, pkt)
	leak.Until(t, "delivery", func() bool { return r.nic.len() == 1 })
	if got := r.nic.take(); got[0].pkt != pkt {
		t.Error("delivered another packet than the one that came")
	}
}

// Merged packets and what passes between them keep the order of first packets.
func TestOrder(t *testing.T) {
	r := newRig(t, nil, nil)
	a, wantA := flow(packettest.TCP{SrcPort: 1}, 3, 100)
	b, wantB := flow(packettest.TCP{SrcPort: 2, IP: packettest.IP{V6: true}}, 3, 100)
	udp := packettest.UDP{Payload: []byte("x")}.Frame()
	ack := packettest.TCP{SrcPort: 1, Seq: 300}.Frame()
	more, wantMore := flow(packettest.TCP{SrcPort: 1, Seq: 300, IP: packettest.IP{ID: 3}}, 2, 100)
	batch := []packettest.Frame{a[0], udp, b[0], a[1], b[1], a[2], ack, b[2], more[0], more[1]}
	want := []packettest.Frame{wantA, udp, wantB, ack, wantMore}
	for path, got := range map[string][]delivery{"frames": r.frames(batch...), "packets": r.packets(cut{60, 0}, batch...)} {
		if len(got) != len(want) {
			t.Fatalf("%s: %d packets, want %d", path, len(got), len(want))
		}
		for i := range want {
			if d := packettest.Diff(got[i].Frame, want[i]); d != "" {
				t.Errorf("%s: packet %d: %s", path, i, d)
			}
		}
	}
}

// A batch larger than what the coalescer holds loses nothing.
func TestHugeBatch(t *testing.T) {
	r := newRig(t, &endpoint.Config{Workers: 1, QueuePackets: 10000}, nil)
	var batch []packettest.Frame
	for i := range 3000 {
		batch = append(batch, packettest.UDP{SrcPort: uint16(i + 1), Payload: []byte{1}}.Frame())
	}
	for path, got := range map[string][]delivery{"frames": r.frames(batch...), "packets": r.packets(whole, batch...)} {
		if len(got) != len(batch) {
			t.Fatalf("%s: %d packets, want %d", path, len(got), len(batch))
		}
		for i := range batch {
			if d := packettest.Diff(got[i].Frame, batch[i]); d != "" {
				t.Fatalf("%s: packet %d: %s", path, i, d)
			}
		}
	}
	if s := r.e.Stats(); s.Verdicts[coalesce.NotTCP] != 6000 || s.Alone != 1 {
		t.Errorf("counted %d packets that are not TCP and %d alone, want 6000 and the plug", s.Verdicts[coalesce.NotTCP], s.Alone)
	}
}

// What a link says of a frame's destination stays with it: alone, merged, and split.
func TestPacketType(t *testing.T) {
	segments, _ := flow(packettest.TCP{}, 4, 600)
	ack := packettest.TCP{SrcPort: 7}.Frame()
	var other []endpoint.Frame
	for _, f := range append(segments, ack) {
		e := endpointFrame(f)
		e.PktType = tcpip.PacketOtherHost
		other = append(other, e)
	}
	large := super(packettest.TCP{Payload: packettest.Stream(0, 3000), IP: packettest.IP{Dst: elsewhere4}}, 1000)
	large.PktType = tcpip.PacketBroadcast
	r := newRig(t, nil, nil)
	r.e.DeliverFrames(other[:1])
	r.e.DeliverFrames([]endpoint.Frame{large})
	r.e.DeliverFrames(append(other, large, endpointFrame(ack)))
	var got []tcpip.PacketType
	for _, d := range r.nic.take() {
		got = append(got, d.pktType)
	}
	host, o, b := tcpip.PacketHost, tcpip.PacketOtherHost, tcpip.PacketBroadcast
	if want := []tcpip.PacketType{o, b, b, b, o, o, b, b, b, host}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
