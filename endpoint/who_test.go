// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/sniffer"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// Only what ends in this stack is merged, and only a NIC can say so.
func TestWhatEndsHere(t *testing.T) {
	tests := []struct {
		name                            string
		notLocal, promiscuous, spoofing bool
		v6                              bool
		override                        func(tcpip.NetworkProtocolNumber, tcpip.Address) bool
		merges                          bool
	}{
		{name: "local", merges: true},
		{name: "elsewhere", notLocal: true},
		{name: "promiscuous", notLocal: true, promiscuous: true, merges: true},
		{name: "spoofing", spoofing: true},
		{name: "spoofing elsewhere", spoofing: true, notLocal: true},
		{name: "spoofing and promiscuous", spoofing: true, promiscuous: true, merges: true},
		{name: "override, true", notLocal: true, override: always, merges: true},
		{name: "override, false", promiscuous: true, override: never},
		{name: "override while spoofing", spoofing: true, override: always, merges: true},
		{name: "override by address", override: notV6, merges: true},
		{name: "override by address, v6", v6: true, override: notV6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			segments, merged := flow(packettest.TCP{IP: packettest.IP{V6: test.v6}}, 4, 100)
			r := newRig(t, &endpoint.Config{Workers: 1, EndsHere: test.override}, nil)
			r.nic.notLocal.Store(test.notLocal)
			r.nic.promiscuous.Store(test.promiscuous)
			r.nic.spoofing.Store(test.spoofing)
			want := segments
			if test.merges {
				want = []packettest.Frame{merged}
			}
			for path, got := range map[string][]delivery{"frames": r.frames(segments...), "packets": r.packets(whole, segments...)} {
				if len(got) != len(want) {
					t.Fatalf("%s: %d packets, want %d", path, len(got), len(want))
				}
				for i := range want {
					if d := packettest.Diff(got[i].Frame, want[i]); d != "" {
						t.Errorf("%s: packet %d: %s", path, i, d)
					}
				}
			}
			s := r.e.Stats()
			if s.NoNIC || test.merges != (s.Verdicts[coalesce.NotLocal] == 0) {
				t.Errorf("NoNIC %v, not-local %d", s.NoNIC, s.Verdicts[coalesce.NotLocal])
			}
		})
	}
}

func always(tcpip.NetworkProtocolNumber, tcpip.Address) bool { return true }
func never(tcpip.NetworkProtocolNumber, tcpip.Address) bool  { return false }

func notV6(protocol tcpip.NetworkProtocolNumber, dst tcpip.Address) bool {
	return protocol == packettest.ProtocolIPv4 && dst == tcpip.AddrFrom4([4]byte{10, 0, 0, 2})
}

// What is for a group may be kept and forwarded, so it is never merged: not by a
// NIC that takes everything, nor by an author who says that all ends here.
func TestGroups(t *testing.T) {
	for _, dst := range []string{"224.0.0.251", "239.255.1.1", "ff02::1", "ff0e::9"} {
		addr := netip.MustParseAddr(dst)
		tcp := packettest.TCP{IP: packettest.IP{V6: addr.Is6(), Dst: addr}}
		segments, _ := flow(tcp, 3, 100)
		for _, override := range []func(tcpip.NetworkProtocolNumber, tcpip.Address) bool{nil, always} {
			r := newRig(t, &endpoint.Config{Workers: 1, EndsHere: override}, nil)
			r.nic.promiscuous.Store(true)
			r.same(t, r.frames(segments...), segments)
			tcp.Payload = packettest.Stream(0, 5000)
			r.splits(t, inSegments(tcp, 1000), super(tcp, 1000))
		}
	}
}

// The author's answer serves where there is no NIC to ask, and Stats tells what is
// there in its place.
func TestOverrideWithoutNIC(t *testing.T) {
	segments, merged := flow(packettest.TCP{}, 4, 100)
	r := newRig(t, &endpoint.Config{Workers: 1, EndsHere: always}, nil)
	r.e.Attach(&r.nic.dispatcher)
	r.same(t, r.frames(segments...), []packettest.Frame{merged})
	if s := r.e.Stats(); !s.NoNIC || s.Dispatcher != "*endpoint_test.dispatcher" {
		t.Errorf("NoNIC %v, Dispatcher %q", s.NoNIC, s.Dispatcher)
	}
	r.e.Attach(sniffer.New(newFakeLink()))
	if s := r.e.Stats(); !s.NoNIC || s.Dispatcher != "*sniffer.Endpoint" {
		t.Errorf("NoNIC %v, Dispatcher %q", s.NoNIC, s.Dispatcher)
	}
	r.e.Attach(r.nic)
	if s := r.e.Stats(); s.NoNIC || s.Dispatcher != "" {
		t.Errorf("NoNIC %v, Dispatcher %q", s.NoNIC, s.Dispatcher)
	}
}

// Two destinations in turns are told apart.
func TestDestinationsInTurns(t *testing.T) {
	r := newRig(t, nil, nil)
	local, merged := flow(packettest.TCP{}, 4, 100)
	foreign, _ := flow(packettest.TCP{IP: packettest.IP{Dst: elsewhere4}}, 4, 100)
	batch, want := []packettest.Frame{}, []packettest.Frame{}
	for i := range local {
		batch = append(batch, local[i], foreign[i])
	}
	want = append(append(want, merged), foreign...)
	r.same(t, r.frames(batch...), want)
	// However many they are.
	many := append([]packettest.Frame{}, local[:2]...)
	for i := range 250 {
		dst := netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
		two, _ := flow(packettest.TCP{IP: packettest.IP{Dst: dst}}, 2, 100)
		many = append(many, two...)
	}
	_, both := flow(packettest.TCP{}, 2, 100)
	r.same(t, r.frames(many...), append([]packettest.Frame{both}, many[2:]...))
	// And of large ones.
	tcp := packettest.TCP{Payload: packettest.Stream(0, 3000)}
	away := packettest.TCP{IP: packettest.IP{Dst: elsewhere4}, Payload: packettest.Stream(0, 3000)}
	r.e.DeliverFrames([]endpoint.Frame{super(tcp, 1000), super(away, 1000), super(tcp, 1000), super(away, 1000)})
	one := append([]packettest.Frame{tcp.Frame()}, inSegments(away, 1000)...)
	r.same(t, r.nic.take(), append(one, one...))
}

// An address that the NIC gets or loses counts from the next batch on.
func TestAddressesMayChange(t *testing.T) {
	r := newRig(t, nil, nil)
	segments, _ := flow(packettest.TCP{IP: packettest.IP{V6: true}}, 4, 100)
	for _, elsewhere := range []bool{true, false, true} {
		r.nic.notLocal.Store(elsewhere)
		if got := r.frames(segments...); (len(got) == 1) == elsewhere {
			t.Errorf("address elsewhere %v: %d packets", elsewhere, len(got))
		}
	}
}

// Under a dispatcher that is no NIC nothing is merged, and Stats tells.
func TestNoNIC(t *testing.T) {
	r := newRig(t, nil, nil)
	if r.e.Stats().NoNIC {
		t.Error("NoNIC under a NIC")
	}
	var d dispatcher
	r.e.Attach(&d)
	segments, _ := flow(packettest.TCP{}, 4, 100)
	r.frames(segments...)
	got := d.take()
	if len(got) != 4 || !r.e.Stats().NoNIC {
		t.Fatalf("%d packets, NoNIC %v", len(got), r.e.Stats().NoNIC)
	}
	for i := range got {
		if diff := packettest.Diff(got[i].Frame, segments[i]); diff != "" {
			t.Error(diff)
		}
	}
	r.e.Attach(r.nic)
	if got := r.frames(segments...); len(got) != 1 || r.e.Stats().NoNIC {
		t.Errorf("after the NIC is back: %d packets, NoNIC %v", len(got), r.e.Stats().NoNIC)
	}
}

// The packets of a loopback go through in both directions untouched, on the
// goroutine that brings them, and so does GSO.
func TestLoopback(t *testing.T) {
	r := newRig(t, nil, func(l *fakeLink) { l.caps = stack.CapabilityLoopback })
	r.passesThrough(t)
	if r.e.SupportedGSO() != stack.GSONotSupported {
		t.Error("GSO on a loopback that has none")
	}
	big := packettest.TCP{Payload: make([]byte, 5000), Partial: true}
	r.write(outPacket(big, whole, gso4(1448)))
	if s := r.lower.take(); len(s) != 1 || len(s[0].frame.Data) != 5040 || s[0].gso != gso4(1448) {
		t.Errorf("sent %d packets", len(s))
	}
}

func TestDisableCoalescing(t *testing.T) {
	r := newRig(t, &endpoint.Config{DisableCoalescing: true}, nil)
	r.passesThrough(t)
	if r.e.SupportedGSO() != stack.HostGSOSupported {
		t.Error("no GSO without coalescing")
	}
}

func (r *rig) passesThrough(t *testing.T) {
	t.Helper()
	segments, _ := flow(packettest.TCP{}, 4, 100)
	got := r.frames(segments...)
	for _, f := range segments {
		pkt := inbound(f, whole)
		r.e.DeliverNetworkPacket(packettest.ProtocolIPv4, pkt)
		if one := r.nic.take(); len(one) == 1 && one[0].pkt == pkt {
			got = append(got, one...)
		}
		pkt.DecRef()
	}
	if len(got) != 8 {
		t.Fatalf("%d packets came through at once as they were, want 8", len(got))
	}
	for i, g := range got {
		if d := packettest.Diff(g.Frame, segments[i%4]); d != "" {
			t.Error(d)
		}
	}
	if s := r.e.Stats(); s.Merged != 0 || s.Received != 4 || s.Delivered != 4 {
		t.Errorf("counted %+v, want the four frames", s)
	}
}

// What the link below can do is passed on, and nothing added.
func TestCapabilities(t *testing.T) {
	for _, caps := range []stack.LinkEndpointCapabilities{
		0, stack.CapabilityRXChecksumOffload, stack.CapabilityTXChecksumOffload | stack.CapabilityResolutionRequired,
	} {
		r := newRig(t, nil, func(l *fakeLink) { l.caps = caps; l.mtu.Store(1400); l.ether = true })
		if got := r.e.Capabilities(); got != caps {
			t.Errorf("Capabilities %v, want %v", got, caps)
		}
		if r.e.MTU() != 1400 || r.e.MaxHeaderLength() != 14 || r.e.ARPHardwareType() != r.lower.ARPHardwareType() {
			t.Error("MTU, header length or hardware type not the lower link's")
		}
	}
}

func TestGSOCapability(t *testing.T) {
	tests := []struct {
		lower    stack.SupportedGSO
		max      uint32
		disabled bool
		want     stack.SupportedGSO
		wantMax  uint32
	}{
		{stack.GSONotSupported, 0, false, stack.HostGSOSupported, 65535},
		{stack.GSONotSupported, 1 << 15, false, stack.HostGSOSupported, 65535},
		{stack.GVisorGSOSupported, 1 << 16, false, stack.HostGSOSupported, 65535},
		{stack.HostGSOSupported, 32768, false, stack.HostGSOSupported, 32768},
		{stack.HostGSOSupported, 1 << 20, false, stack.HostGSOSupported, 65535},
		{stack.HostGSOSupported, 0, false, stack.HostGSOSupported, 65535},
		{stack.GSONotSupported, 0, true, stack.GSONotSupported, 0},
		{stack.HostGSOSupported, 32768, true, stack.HostGSOSupported, 32768},
	}
	for i, test := range tests {
		r := newRig(t, &endpoint.Config{DisableSegmentation: test.disabled}, func(l *fakeLink) { l.gso, l.gsoN = test.lower, test.max })
		if got, n := r.e.SupportedGSO(), r.e.GSOMaxSize(); got != test.want || n != test.wantMax {
			t.Errorf("row %d: GSO %v of %d, want %v of %d", i, got, n, test.want, test.wantMax)
		}
	}
}

// DeliverLinkPacket goes straight up.
func TestDeliverLinkPacket(t *testing.T) {
	r := newRig(t, nil, nil)
	pkt := inbound(plug(), whole)
	defer pkt.DecRef()
	r.e.DeliverLinkPacket(packettest.ProtocolIPv4, pkt)
	if r.nic.link != 1 {
		t.Errorf("%d link packets", r.nic.link)
	}
}

// A NIC may join a bridge or leave it while packets come: no packet is lost, and
// none reaches the bridge merged.
func TestJoinAndLeave(t *testing.T) {
	r := newRig(t, nil, nil)
	var bridge dispatcher
	const batches = 500
	segments, merged := flow(packettest.TCP{}, 8, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		frames := make([]endpoint.Frame, len(segments))
		for i, f := range segments {
			frames[i] = endpointFrame(f)
		}
		for range batches {
			r.e.DeliverFrames(frames)
			r.deliver(whole, segments[:2]...)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			r.e.Attach(&bridge)
			r.e.Attach(r.nic)
		}
	}
	leak.Until(t, "delivery of all", func() bool {
		s := r.e.Stats()
		return s.Received == 10*batches && uint64(r.nic.len()+bridge.len()) == s.Delivered
	})
	payload := 0
	for _, g := range bridge.take() {
		payload += len(g.Data) - 40
		if len(g.Data) != 140 {
			t.Fatalf("the bridge got a packet of %d bytes", len(g.Data))
		}
	}
	for _, g := range r.nic.take() {
		if payload += len(g.Data) - 40; len(g.Data) > len(merged.Data) {
			t.Fatalf("the NIC got a packet of %d bytes", len(g.Data))
		}
	}
	if s := r.e.Stats(); payload != batches*1000 || s.DroppedDetached+s.DroppedQueueFull > 0 {
		t.Errorf("%d bytes arrived, counted %+v", payload, s)
	}
}

// A NIC that joins a bridge in the middle of a batch gets no more of it; the bridge
// gets the rest as it came, split again if it had been merged already.
func TestJoinInBatch(t *testing.T) {
	plain := packettest.TCP{}
	for name, change := range map[string]func(*packettest.TCP, int){
		"counting IDs": func(s *packettest.TCP, i int) { s.IP.ID = uint16(i) },
		"fixed IDs":    func(s *packettest.TCP, i int) { s.IP.ID = 7 },
		"IPv6":         func(s *packettest.TCP, i int) { s.IP.V6 = true },
	} {
		var segments []packettest.Frame
		for i := range 6 {
			s := plain
			s.Seq = uint32(i * 100)
			s.Payload = packettest.Stream(s.Seq, 100)
			change(&s, i)
			segments = append(segments, s.Frame())
		}
		big := packettest.TCP{SrcPort: 9, Payload: packettest.Stream(0, 5000)}
		want := append(append([]packettest.Frame{}, segments...), inSegments(big, 1460)...)
		for _, caps := range []stack.LinkEndpointCapabilities{0, stack.CapabilityRXChecksumOffload} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, nil, func(l *fakeLink) { l.caps = caps })
				var bridge dispatcher
				r.nic.hook = func(uint16, []byte) { r.e.Attach(&bridge) }
				r.frames(append(append([]packettest.Frame{plug()}, segments...), big.Frame())...)
				r.same(t, bridge.take(), want)
				r.nic.hook = nil
				r.e.Attach(r.nic)

				// Held up in the plug by packets, the worker sees the bridge when it
				// begins; so it is the second packet of its batch that lets it in.
				r.nic.hook = func(_ uint16, data []byte) {
					if len(data) == 33 {
						r.e.Attach(&bridge)
					}
				}
				again := packettest.UDP{Payload: []byte("again")}.Frame()
				batch := append(append([]packettest.Frame{again}, segments...), big.Frame())
				inside, release := make(chan struct{}), make(chan struct{})
				hold := r.nic.hook
				r.nic.hook = func(p uint16, data []byte) {
					if len(data) == 32 {
						close(inside)
						<-release
					}
					hold(p, data)
				}
				r.deliver(whole, plug())
				<-inside
				r.deliver(whole, batch...)
				close(release)
				leak.Until(t, "delivery", func() bool { return bridge.len() == len(want) })
				r.same(t, bridge.take(), want)
			})
		}
	}
}

// However small the segments of a run are, it is no flood: it splits again.
func TestJoinAfterTinySegments(t *testing.T) {
	segments, _ := flow(packettest.TCP{}, 1000, 1)
	r := newRig(t, nil, nil)
	var bridge dispatcher
	r.nic.hook = func(uint16, []byte) { r.e.Attach(&bridge) }
	r.frames(append([]packettest.Frame{plug()}, segments...)...)
	r.same(t, bridge.take(), segments)
}
