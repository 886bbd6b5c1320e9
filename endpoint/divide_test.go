// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"fmt"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// elsewhere4 is an address that no NIC here has.
var elsewhere4 = netip.MustParseAddr("10.0.0.77")

// elsewhere are the ways in which packets do not end in the stack.
var elsewhere = map[string]func(*testing.T, *endpoint.Config) *rig{
	"forwarded": func(t *testing.T, cfg *endpoint.Config) *rig {
		r := newRig(t, cfg, nil)
		r.nic.notLocal.Store(true)
		return r
	},
	"bridged": func(t *testing.T, cfg *endpoint.Config) *rig {
		r := newRig(t, cfg, nil)
		r.e.Attach(&r.nic.dispatcher) // no NIC
		return r
	},
	"spoofing": func(t *testing.T, cfg *endpoint.Config) *rig {
		r := newRig(t, cfg, nil)
		r.nic.spoofing.Store(true)
		return r
	},
	"not merging": func(t *testing.T, _ *endpoint.Config) *rig {
		r := newRig(t, &endpoint.Config{DisableCoalescing: true}, nil)
		r.nic.notLocal.Store(true)
		return r
	},
}

// super labels a frame as one that the host made.
func super(tcp packettest.TCP, size uint16) endpoint.Frame {
	f := tcp.Frame()
	e := endpointFrame(f)
	e.GSOType, e.GSOSize = stack.GSOTCPv4, size
	if tcp.IP.V6 {
		e.GSOType = stack.GSOTCPv6
	}
	if tcp.Partial {
		e.Checksum, e.ChecksumStart, e.ChecksumOffset = endpoint.ChecksumPartial, uint16(headerLen(tcp)-20-len(tcp.Options)), 16
	}
	return e
}

// A super-packet that does not end here is split at its segment size or, where
// none is known, at what the MTU allows, whatever brings it.
func TestSuperPacketsLeave(t *testing.T) {
	for fate, rigFor := range elsewhere {
		for kind, tcp := range kinds {
			t.Run(fate+"/"+kind, func(t *testing.T) {
				tcp.Flags = packettest.ACK | packettest.PSH | packettest.FIN | packettest.CWR | packettest.ECE
				tcp.Payload, tcp.IP.ID = packettest.Stream(tcp.Seq, 20001), 0xfffe
				half := tcp
				half.Partial = true
				atMTU := 1500 - headerLen(tcp) + tcp.Frame().NetOffset()
				r := rigFor(t, nil)
				r.splits(t, inSegments(tcp, 1000), super(half, 1000))
				r.splits(t, inSegments(tcp, 1000), super(tcp, 1000))
				r.splits(t, inSegments(tcp, atMTU), super(half, 0))
				r.splits(t, inSegments(tcp, atMTU), endpointFrame(tcp.Frame()))
				// What the sender chose counts, even beyond this link's MTU.
				r.splits(t, inSegments(tcp, 3000), super(half, 3000))
				for _, c := range []cut{whole, {60, 0}, {128, 256, 512, 1024}} {
					r.same(t, r.queued(c, tcp.Frame()), inSegments(tcp, atMTU))
				}
			})
		}
	}
}

// splits delivers f alone and between others, and wants it to become these
// packets.
func (r *rig) splits(t *testing.T, want []packettest.Frame, f endpoint.Frame) {
	t.Helper()
	before := r.e.Stats()
	data := append([]byte{}, f.Data...)
	udp := packettest.UDP{Payload: []byte("between")}.Frame()
	r.e.DeliverFrames([]endpoint.Frame{f})
	r.same(t, r.nic.take(), want)
	r.e.DeliverFrames([]endpoint.Frame{endpointFrame(udp), f, endpointFrame(udp)})
	got := r.nic.take()
	if len(got) != len(want)+2 {
		t.Fatalf("%d packets, want %d between two", len(got), len(want))
	}
	r.same(t, got[1:len(got)-1], want)
	if string(data) != string(f.Data) {
		t.Error("the borrowed frame was changed")
	}
	s := r.e.Stats()
	n := uint64(2 * len(want))
	if s.SplitInbound-before.SplitInbound != 2 || s.SegmentsInbound-before.SegmentsInbound != n ||
		s.Delivered-before.Delivered != n+2 || s.Received-before.Received != 4 {
		t.Errorf("counted %+v after %+v", s, before)
	}
}

func (r *rig) same(t *testing.T, got []delivery, want []packettest.Frame) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if d := packettest.Diff(got[i].Frame, want[i]); d != "" {
			t.Fatalf("packet %d: %s", i, d)
		}
		if uint16(got[i].protocol) != want[i].Protocol {
			t.Fatalf("packet %d: NetworkProtocolNumber %#x", i, got[i].protocol)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
}

// queued delivers one packet as a link does that knows no frames.
func (r *rig) queued(c cut, f packettest.Frame) []delivery {
	before := r.e.Stats().Delivered
	r.deliver(c, f)
	leak.Until(r.t, "the worker's delivery", func() bool {
		n := r.e.Stats().Delivered - before
		return n > 0 && uint64(r.nic.len()) == n
	})
	return r.nic.take()
}

// In a queue with others a large packet is split in its place, and so it is after
// batches that merged, when packets are copied.
func TestSuperPacketQueued(t *testing.T) {
	r := newRig(t, nil, nil)
	segments, merged := flow(packettest.TCP{}, 4, 600)
	foreign := packettest.TCP{IP: packettest.IP{Dst: elsewhere4}, Payload: packettest.Stream(0, 9000)}
	after := packettest.TCP{Seq: 2400, IP: packettest.IP{ID: 4}, Payload: packettest.Stream(2400, 600)}
	want := append([]packettest.Frame{merged}, inSegments(foreign, 1460)...)
	want[0] = packettest.TCP{Payload: packettest.Stream(0, 3000)}.Frame()
	for range 3 {
		batch := append(append([]packettest.Frame{}, segments...), foreign.Frame(), after.Frame())
		r.same(t, r.packets(cut{100, 0}, batch...), want)
	}
}

// One with the metadata of a stack's own super-packet is split by that.
func TestSuperPacketWithOptions(t *testing.T) {
	r := newRig(t, nil, nil)
	r.nic.notLocal.Store(true)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 5000)}
	half := tcp
	half.Partial = true
	for _, waiting := range []bool{false, true} {
		pkt := inbound(half.Frame(), cut{54, 0})
		pkt.GSOOptions = gso4(900)
		if waiting {
			r.nic.notLocal.Store(false)
			s, _ := flow(packettest.TCP{SrcPort: 5}, 20, 600)
			r.packets(whole, s...) // from now on packets are copied
			r.nic.notLocal.Store(true)
		}
		before := r.e.Stats().Delivered
		r.e.DeliverNetworkPacket(packettest.ProtocolIPv4, pkt)
		leak.Until(t, "the worker's delivery", func() bool { return r.e.Stats().Delivered-before == 6 })
		r.same(t, r.nic.take(), inSegments(tcp, 900))
		pkt.DecRef()
	}
}

// What ends here stays as large as it is.
func TestSuperPacketsStay(t *testing.T) {
	for kind, tcp := range kinds {
		if tcp.Link.VLAN != 0 {
			continue // nobody can say where it ends
		}
		for name, cfg := range map[string]*endpoint.Config{
			"address":  {Workers: 1},
			"override": {Workers: 1, EndsHere: func(tcpip.NetworkProtocolNumber, tcpip.Address) bool { return true }},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				tcp.Payload = packettest.Stream(tcp.Seq, 30000)
				want := []packettest.Frame{tcp.Frame()}
				half := tcp
				half.Partial = true
				r := newRig(t, cfg, nil)
				r.nic.notLocal.Store(name == "override")
				for _, f := range []endpoint.Frame{super(half, 1000), super(tcp, 0), endpointFrame(tcp.Frame())} {
					r.e.DeliverFrames([]endpoint.Frame{f})
					r.same(t, r.nic.take(), want)
					r.e.DeliverFrames([]endpoint.Frame{f, f})
					r.same(t, r.nic.take(), append(want, want...))
				}
				r.same(t, r.queued(cut{60, 0}, tcp.Frame()), want)
				if s := r.e.Stats(); s.SplitInbound != 0 {
					t.Errorf("counted %+v", s)
				}
			})
		}
	}
}

// What is large and cannot be split, or must not because its checksum is wrong,
// passes as it came: the stack says what becomes of it.
func TestLargeThatStaysWhole(t *testing.T) {
	data := packettest.Stream(0, 5000)
	long := packettest.TCP{Payload: data}
	long.IP.LengthDelta = 5
	fragment := packettest.TCP{Payload: data}
	fragment.IP.MF = true
	for name, f := range map[string]packettest.Frame{
		"UDP":      packettest.UDP{Payload: data}.Frame(),
		"checksum": packettest.TCP{Payload: data, BadChecksum: true}.Frame(),
		"length":   long.Frame(),
		"fragment": fragment.Frame(),
		"ICMP":     packettest.ICMP{Payload: data}.Frame(),
		"not IP":   {Data: data, Protocol: 0x88cc},
		"trailing": packettest.TCP{Payload: data[:1000], Link: packettest.Link{Trailing: data}}.Frame(),
	} {
		t.Run(name, func(t *testing.T) {
			r := elsewhere["forwarded"](t, nil)
			r.e.DeliverFrames([]endpoint.Frame{endpointFrame(f)})
			r.same(t, r.nic.take(), []packettest.Frame{f})
			r.same(t, r.queued(cut{60, 0}, f), []packettest.Frame{f})
			if s := r.e.Stats(); s.SplitInbound+s.DroppedUDP != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
	t.Run("checksum of a link that vouches", func(t *testing.T) {
		r := newRig(t, nil, func(l *fakeLink) { l.caps = stack.CapabilityRXChecksumOffload })
		r.nic.notLocal.Store(true)
		bad := packettest.TCP{Payload: data, BadChecksum: true}
		good := packettest.TCP{Payload: data}
		r.e.DeliverFrames([]endpoint.Frame{endpointFrame(bad.Frame())})
		r.same(t, r.nic.take(), inSegments(good, 1460))
	})
}

// No netstack socket takes a UDP super-packet: it is always split.
func TestUDPSuperPackets(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, link := range []packettest.Link{{}, {Ethernet: true}, {Ethernet: true, VLAN: 5}} {
			for _, local := range []bool{false, true} {
				for _, off := range []bool{false, true} {
					t.Run(fmt.Sprintf("v6 %v link %+v local %v off %v", v6, link, local, off), func(t *testing.T) {
						r := newRig(t, &endpoint.Config{DisableCoalescing: off}, nil)
						r.nic.notLocal.Store(!local)
						udp := packettest.UDP{Link: link, IP: packettest.IP{V6: v6, ID: 0xffff}, Payload: packettest.Stream(0, 10100)}
						r.splits(t, datagrams(udp, 1000), superUDP(udp, 1000))
						udp.Partial = true
						r.splits(t, datagrams(udp, 1000), superUDP(udp, 1000))
					})
				}
			}
		}
	}
}

func superUDP(u packettest.UDP, size uint16) endpoint.Frame {
	whole := u.Frame()
	f := endpointFrame(whole)
	f.GSOSize = size
	if u.Partial {
		f.Checksum, f.ChecksumStart, f.ChecksumOffset = endpoint.ChecksumPartial, uint16(whole.NetOffset()+20), 6
		if u.IP.V6 {
			f.ChecksumStart += 20
		}
	}
	return f
}

func datagrams(u packettest.UDP, size int) (out []packettest.Frame) {
	u.Partial = false
	for off := 0; off < len(u.Payload); off += size {
		d := u
		d.IP.ID += uint16(len(out))
		d.Payload = u.Payload[off:min(len(u.Payload), off+size)]
		out = append(out, d.Frame())
	}
	return out
}

// One that cannot be split is dropped, for a socket would take it for one
// datagram. One that is a single datagram is taken as it is.
func TestUDPSuperPacketsDropped(t *testing.T) {
	data := packettest.Stream(0, 5000)
	for name, test := range map[string]struct {
		f    endpoint.Frame
		want int
	}{
		"checksum":      {superUDP(packettest.UDP{Payload: data, BadChecksum: true}, 1000), 0},
		"too many":      {superUDP(packettest.UDP{Payload: data[:1290]}, 10), 0},
		"just not":      {superUDP(packettest.UDP{Payload: data[:1280]}, 10), 128},
		"length":        {superUDP(packettest.UDP{Payload: data, LengthDelta: 1}, 1000), 0},
		"neither":       {neither(), 0},
		"one datagram":  {superUDP(packettest.UDP{Payload: data[:900]}, 1000), 1},
		"its last byte": {superUDP(packettest.UDP{Payload: data[:1000]}, 1000), 1},
		"partial":       {superUDP(packettest.UDP{Payload: data[:900], Partial: true}, 1000), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.e.DeliverFrames([]endpoint.Frame{test.f})
			r.e.DeliverFrames([]endpoint.Frame{test.f, test.f})
			got := r.nic.take()
			if s := r.e.Stats(); len(got) != 3*test.want || (s.DroppedUDP+s.DroppedSegments == 3) != (test.want == 0) || s.Received != 3 {
				t.Fatalf("%d packets, counted %+v", len(got), s)
			}
			for _, g := range got {
				if !packettest.UDPValid(g.IP(), 20) {
					t.Error("wrong checksum")
				}
			}
		})
	}
}

// neither is labelled as a UDP super-packet, and is none.
func neither() endpoint.Frame {
	f := endpointFrame(packettest.ICMP{Payload: packettest.Stream(0, 5000)}.Frame())
	f.GSOSize = 1000
	return f
}

// A super-packet that would become more packets than Linux makes of one is dropped,
// whatever brings it, and only where it would be split.
func TestFlood(t *testing.T) {
	most := packettest.TCP{Payload: packettest.Stream(0, 8191)}
	flood := packettest.TCP{Payload: packettest.Stream(0, 8192)}
	largest := packettest.TCP{Payload: packettest.Stream(0, 65535-40)}
	for fate, rigFor := range elsewhere {
		t.Run(fate, func(t *testing.T) {
			r := rigFor(t, nil)
			r.e.DeliverFrames([]endpoint.Frame{super(most, 1)})
			if got := r.nic.take(); len(got) != 8191 {
				t.Errorf("%d packets", len(got))
			}
			r.e.DeliverFrames([]endpoint.Frame{super(flood, 1)})
			r.e.DeliverFrames([]endpoint.Frame{super(flood, 1), super(largest, 7)})
			pkt := inbound(flood.Frame(), whole)
			pkt.GSOOptions = gso4(1)
			r.e.DeliverNetworkPacket(packettest.ProtocolIPv4, pkt)
			pkt.DecRef()
			leak.Until(t, "the drops", func() bool { return r.e.Stats().DroppedSegments == 4 })
			if got := r.nic.take(); len(got) != 0 {
				t.Errorf("%d packets", len(got))
			}
		})
	}
	r := newRig(t, nil, nil)
	r.e.DeliverFrames([]endpoint.Frame{super(flood, 1)})
	r.same(t, r.nic.take(), []packettest.Frame{flood.Frame()})
}
