// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// large are super-packets as netstack sends them.
func large() map[string]packettest.TCP {
	all := map[string]packettest.TCP{}
	for name, t := range kinds {
		if t.Link.VLAN != 0 {
			continue
		}
		t.Partial = true
		t.Flags = packettest.ACK | packettest.PSH | packettest.FIN | packettest.CWR | packettest.ECE
		t.Payload = packettest.Stream(t.Seq, 20001)
		t.IP.ID = 0xfffe
		all[name] = t
	}
	return all
}

// Every segment of a super-packet is right in every byte, whatever the views.
func TestSplit(t *testing.T) {
	for name, tcp := range large() {
		for cutName, c := range cuts {
			t.Run(name+"/"+cutName, func(t *testing.T) {
				r := newRig(t, nil, nil)
				n, err := r.write(outPacket(tcp, c, gsoOf(tcp, 1400)))
				if n != 1 || err != nil {
					t.Fatalf("WritePackets gave %d, %v", n, err)
				}
				for i, s := range r.wants(inSegments(tcp, 1400)) {
					if s.gso != (stack.GSO{}) || s.hash != 4711 || len(s.transport) != 20+len(tcp.Options) ||
						s.protocol != tcpip.NetworkProtocolNumber(tcp.Frame().Protocol) {
						t.Fatalf("segment %d: GSO %+v, hash %d, transport header of %d bytes", i, s.gso, s.hash, len(s.transport))
					}
				}
				if s := r.e.Stats(); s.Split != 1 || s.Segments != 15 || s.Finished != 0 {
					t.Errorf("counted %+v", s)
				}
			})
		}
	}
}

// Packets stay in order around one that is split, and those that fit go down as
// they are.
func TestSplitBetween(t *testing.T) {
	r := newRig(t, nil, nil)
	small := packettest.TCP{Payload: packettest.Stream(0, 1000)}
	big := packettest.TCP{Seq: 1000, Payload: packettest.Stream(1000, 5000), Partial: true}
	same := outPacket(small, whole, stack.GSO{})
	n, err := r.write(same.IncRef(), outPacket(big, whole, gso4(1448)), same)
	if n != 3 || err != nil {
		t.Fatalf("WritePackets gave %d, %v", n, err)
	}
	want := append([]packettest.Frame{small.Frame()}, inSegments(big, 1448)...)
	r.wants(append(want, small.Frame()))
	if r.lower.calls != 1 {
		t.Errorf("%d calls of the lower link, want one for the list", r.lower.calls)
	}
}

// What needs no splitting is only finished, in place.
func TestFinished(t *testing.T) {
	tests := map[string]packettest.TCP{
		"ack":         {},
		"ack6":        {IP: packettest.IP{V6: true}},
		"timestamp":   {Options: packettest.Timestamp(3, 4)},
		"syn, MSS 0":  {Flags: packettest.SYN, Options: packettest.Timestamp(3, 4)},
		"data":        {Payload: packettest.Stream(0, 999), Flags: packettest.ACK | packettest.PSH},
		"ethernet":    {Link: packettest.Link{Ethernet: true}},
		"ext headers": {IP: packettest.IP{V6: true, Ext: []packettest.Ext{packettest.HopByHop(1)}}, Payload: make([]byte, 10)},
	}
	for name, tcp := range tests {
		for _, mss := range []uint16{0, 1448} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, nil, nil)
				tcp.Partial = true
				pkt := outPacket(tcp, cut{100, 0}, gsoOf(tcp, mss))
				if n, err := r.write(pkt); n != 1 || err != nil {
					t.Fatalf("WritePackets gave %d, %v", n, err)
				}
				got := r.wants(inSegments(tcp, 1<<20))
				if got[0].gso != (stack.GSO{}) {
					t.Errorf("GSO options left: %+v", got[0].gso)
				}
				if s := r.e.Stats(); s.Finished != 1 || s.Split != 0 || s.Segments != 0 {
					t.Errorf("counted %+v", s)
				}
			})
		}
	}
}

// No packet larger than the link's MTU leaves, whatever the segment size says.
func TestMTURules(t *testing.T) {
	data := packettest.Stream(0, 10000)
	tests := []struct {
		name string
		mtu  uint32
		mss  uint16
		tcp  packettest.TCP
		size int // of the segments expected
	}{
		{"MSS 0", 1500, 0, packettest.TCP{Payload: data}, 1460},
		{"MSS over the MTU", 1500, 9000, packettest.TCP{Payload: data}, 1460},
		{"MSS over the MTU with options", 1500, 1460, packettest.TCP{Payload: data, Options: packettest.Timestamp(1, 1)}, 1448},
		{"MTU shrank", 1280, 1448, packettest.TCP{Payload: data, IP: packettest.IP{V6: true}}, 1220},
		{"MTU barely holds a byte", 41, 1448, packettest.TCP{Payload: data[:50]}, 1},
		{"MSS of a byte", 1500, 1, packettest.TCP{Payload: data[:70]}, 1},
		{"one segment over the MTU", 1000, 1448, packettest.TCP{Payload: data[:1448]}, 960},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.e.SetMTU(test.mtu)
			tcp := test.tcp
			tcp.Partial = true
			r.write(outPacket(tcp, cut{999, 0}, gsoOf(tcp, test.mss)))
			r.wants(inSegments(tcp, test.size))
		})
	}
}

// A packet without GSO options that became too large, because the MTU shrank, is
// split if it is TCP with a right checksum.
func TestTooLargeWithoutGSO(t *testing.T) {
	r := newRig(t, nil, nil)
	r.e.SetMTU(600)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 1400), Flags: packettest.ACK | packettest.PSH}
	r.write(outPacket(tcp, cut{7, 0}, stack.GSO{}))
	r.wants(inSegments(tcp, 560))
}

// What cannot be sent is dropped, counted by its reason, and counts as taken.
func TestDropped(t *testing.T) {
	data := packettest.Stream(0, 3000)
	tcp := packettest.TCP{Payload: data, Partial: true}
	bad := packettest.TCP{Payload: data, BadChecksum: true}
	long := tcp
	long.IP.LengthDelta = 3
	fragment := tcp
	fragment.IP.MF = true
	udp := packettest.UDP{Payload: data}.Frame()
	tests := map[string]struct {
		pkt  func() *stack.PacketBuffer
		mtu  uint32
		want endpoint.Stats
	}{
		"UDP":      {func() *stack.PacketBuffer { return bridged(udp, whole) }, 1500, endpoint.Stats{DroppedNotTCP: 1}},
		"fragment": {func() *stack.PacketBuffer { return outPacket(fragment, whole, gso4(1448)) }, 1500, endpoint.Stats{DroppedNotTCP: 1}},
		"length":   {func() *stack.PacketBuffer { return outPacket(long, whole, gso4(1448)) }, 1500, endpoint.Stats{DroppedMalformed: 1}},
		"not IP":   {func() *stack.PacketBuffer { return bridged(packettest.Frame{Data: data}, whole) }, 1500, endpoint.Stats{DroppedNotTCP: 1}},
		"tiny MTU": {func() *stack.PacketBuffer { return outPacket(tcp, whole, gso4(1448)) }, 40, endpoint.Stats{DroppedMTU: 1}},
		"checksum": {func() *stack.PacketBuffer { return outPacket(bad, whole, stack.GSO{}) }, 1500, endpoint.Stats{DroppedChecksum: 1}},
		"GSO on UDP": {func() *stack.PacketBuffer {
			return withGSO(bridged(packettest.UDP{Payload: data[:9]}.Frame(), whole), gso4(1))
		}, 1500, endpoint.Stats{DroppedMalformed: 1}},
		"GSO on junk": {func() *stack.PacketBuffer { return withGSO(bridged(packettest.Frame{Data: data[:9]}, whole), gso4(1)) }, 1500, endpoint.Stats{DroppedMalformed: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.e.SetMTU(test.mtu)
			fits := packettest.TCP{}
			n, err := r.write(outPacket(fits, whole, stack.GSO{}), test.pkt(), outPacket(fits, whole, stack.GSO{}))
			if n != 3 || err != nil {
				t.Errorf("WritePackets gave %d, %v", n, err)
			}
			r.wants([]packettest.Frame{fits.Frame(), fits.Frame()})
			if got := r.e.Stats(); got != test.want {
				t.Errorf("counted %+v, want %+v", got, test.want)
			}
		})
	}
	t.Run("nothing left", func(t *testing.T) {
		r := newRig(t, nil, nil)
		if n, err := r.write(bridged(udp, whole)); n != 1 || err != nil || r.lower.calls != 0 {
			t.Errorf("WritePackets gave %d, %v, with %d calls below", n, err, r.lower.calls)
		}
	})
}

func withGSO(pkt *stack.PacketBuffer, gso stack.GSO) *stack.PacketBuffer {
	pkt.GSOOptions = gso
	return pkt
}

// A bridge hands down whole frames that nobody has parsed; a VLAN tag counts as
// link header.
func TestBridged(t *testing.T) {
	for name, link := range map[string]packettest.Link{"plain": {Ethernet: true}, "VLAN": {Ethernet: true, VLAN: 9}} {
		for cutName, c := range cuts {
			t.Run(name+"/"+cutName, func(t *testing.T) {
				r := newRig(t, nil, func(l *fakeLink) { l.ether = true })
				fits := packettest.TCP{Link: link, Payload: packettest.Stream(0, 1460)}
				over := packettest.TCP{Link: link, Payload: packettest.Stream(0, 1461)}
				big := packettest.TCP{Link: link, Payload: packettest.Stream(0, 30000), IP: packettest.IP{V6: true}}
				udp := packettest.UDP{Link: link, Payload: packettest.Stream(0, 1472)}
				lost := packettest.UDP{Link: link, Payload: packettest.Stream(0, 1473)}
				n, err := r.write(bridged(fits.Frame(), c), bridged(over.Frame(), c), bridged(big.Frame(), c),
					bridged(lost.Frame(), c), bridged(udp.Frame(), c))
				if n != 5 || err != nil {
					t.Fatalf("WritePackets gave %d, %v", n, err)
				}
				want := append([]packettest.Frame{fits.Frame()}, inSegments(over, 1460)...)
				want = append(want, inSegments(big, 1440)...)
				for _, s := range r.wants(append(want, udp.Frame())) {
					if s.protocol != 0 {
						t.Errorf("protocol %#x", s.protocol)
					}
				}
				if s := r.e.Stats(); s.DroppedNotTCP != 1 || s.Split != 2 {
					t.Errorf("counted %+v", s)
				}
			})
		}
	}
}

// DisableSegmentation hands down what comes.
func TestDisableSegmentation(t *testing.T) {
	r := newRig(t, &endpoint.Config{DisableSegmentation: true}, nil)
	tcp := packettest.TCP{Payload: packettest.Stream(0, 9000), Partial: true}
	r.write(outPacket(tcp, whole, gso4(1448)))
	if got := r.wants([]packettest.Frame{tcp.Frame()}); got[0].gso != gso4(1448) {
		t.Errorf("GSO options %+v", got[0].gso)
	}
}
