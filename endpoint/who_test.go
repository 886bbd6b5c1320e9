// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// Only what ends in this stack is merged, and only a NIC can say so.
func TestWhatEndsHere(t *testing.T) {
	segments, merged := flow(packettest.TCP{}, 4, 100)
	tests := []struct {
		name                            string
		notLocal, promiscuous, spoofing bool
		merges                          bool
	}{
		{name: "local", merges: true},
		{name: "elsewhere", notLocal: true},
		{name: "promiscuous", notLocal: true, promiscuous: true, merges: true},
		{name: "spoofing", spoofing: true},
		{name: "spoofing elsewhere", spoofing: true, notLocal: true},
		{name: "spoofing and promiscuous", spoofing: true, promiscuous: true, merges: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, nil, nil)
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
