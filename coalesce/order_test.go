// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"net/netip"
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// other returns flow's segments on another source port.
func other(p []packettest.TCP) []packettest.TCP {
	q := append([]packettest.TCP{}, p...)
	for i := range q {
		q[i].SrcPort = 50000
	}
	return q
}

// Runs leave in the order of their first packets, whatever joins them later.
func TestOrderInterleaved(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		a := w.segments(3, 100)
		b := other(a)
		icmp := packettest.ICMP{Link: w.link, IP: a[0].IP, Payload: []byte("ping")}.Frame()
		in := arrivals(a[0], b[0], a[1])
		in = append(in, packettest.Arrival{Frame: icmp})
		in = append(in, arrivals(b[1], a[2], b[2])...)
		wantLeaving(t, nil, in,
			verdicts(coalesce.Started, coalesce.Started, coalesce.Merged, coalesce.NotTCP, coalesce.Merged, coalesce.Merged, coalesce.Merged),
			frames(merged(a...), merged(b...), icmp))
	})
}

// A packet that closes a run and begins another has its own place: between the
// two an older run of another flow does not move.
func TestOrderClosedRun(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		a := w.segments(4, 100)
		b := other(a)
		a[2].Ack++
		a[3].Ack++
		wantLeaving(t, nil, arrivals(a[0], a[1], b[0], a[2], b[1], a[3]),
			verdicts(coalesce.Started, coalesce.Merged, coalesce.Started, coalesce.AckDiffers, coalesce.Merged, coalesce.Merged),
			frames(merged(a[:2]...), merged(b[:2]...), merged(a[2:]...)))
	})
}

// TestOrderPassing has what passes between two segments that would merge: of the
// same flow it closes the run, so that it overtakes nothing.
func TestOrderPassing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ip     int
		want   coalesce.Verdict
		change func(p *packettest.TCP)
	}{
		{"pure ACK", 0, coalesce.NoPayload, func(p *packettest.TCP) { p.Payload = nil }},
		{"padded pure ACK", 0, coalesce.NoPayload, func(p *packettest.TCP) { p.Payload, p.Options, p.Link.Pad = nil, nil, 60 }},
		{"bad checksum", 0, coalesce.BadChecksum, func(p *packettest.TCP) { p.BadChecksum = true }},
		{"bad checksum, no payload", 0, coalesce.NoPayload, func(p *packettest.TCP) { p.Payload, p.BadChecksum = nil, true }},
		{"IP options", 4, coalesce.IPOptions, func(p *packettest.TCP) { p.IP.Options = []byte{1, 1, 1, 1} }},
		{"bad header checksum", 4, coalesce.BadIPChecksum, func(p *packettest.TCP) { p.IP.BadChecksum = true }},
		{"RST", 0, coalesce.Control, func(p *packettest.TCP) { p.Payload, p.Flags = nil, packettest.RST }},
		{"SYN", 0, coalesce.Control, func(p *packettest.TCP) { p.Payload, p.Flags = nil, packettest.SYN }},
		{"wrong data offset", 0, coalesce.Malformed, func(p *packettest.TCP) { p.Payload, p.Offset = nil, 2 }},
		{"Routing header", 6, coalesce.ExtHeader, func(p *packettest.TCP) { p.IP.Ext, p.Payload = []packettest.Ext{packettest.Routing(1)}, nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everyWorld(t, func(t *testing.T, w world) {
				if tt.ip == 4 && w.v6 || tt.ip == 6 && !w.v6 || tt.name[0] == 'p' && !w.link.Ethernet {
					return
				}
				p := w.segments(2, 100)
				between := p[1]
				tt.change(&between)
				wantLeaving(t, nil, arrivals(p[0], between, p[1]), verdicts(coalesce.Started, tt.want, coalesce.Started),
					frames(p[0].Frame(), between.Frame(), p[1].Frame()))

				// Of another flow it closes nothing.
				between.SrcPort = 50000
				want := tt.want
				if want == coalesce.BadChecksum {
					want = coalesce.Started // found out only where it would join
				}
				wantLeaving(t, nil, arrivals(p[0], between, p[1]), verdicts(coalesce.Started, want, coalesce.Merged),
					frames(merged(p...), between.Frame()))
			})
		})
	}
}

// fragmentOf makes a fragment of p, a first one or a later one.
func fragmentOf(p packettest.TCP, offset uint16, more bool) packettest.TCP {
	p.IP.MF, p.IP.FragmentOffset = more, offset
	p.IP.Ext = []packettest.Ext{packettest.Fragment(offset, more, 9)}
	return p
}

// TestOrderFragments: a fragment has no ports and closes all runs of its
// addresses and protocol, and no others.
func TestOrderFragments(t *testing.T) {
	dst4, dst6 := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fd00::9")
	for _, tt := range []struct {
		name   string
		closes bool
		make   func(p packettest.TCP) packettest.Frame
	}{
		{"first", true, func(p packettest.TCP) packettest.Frame { return fragmentOf(p, 0, true).Frame() }},
		{"middle", true, func(p packettest.TCP) packettest.Frame { return fragmentOf(p, 100, true).Frame() }},
		{"last", true, func(p packettest.TCP) packettest.Frame { return fragmentOf(p, 100, false).Frame() }},
		{"of another destination", false, func(p packettest.TCP) packettest.Frame {
			if p.IP.Dst = dst4; p.IP.V6 {
				p.IP.Dst = dst6
			}
			return fragmentOf(p, 0, true).Frame()
		}},
		{"of another source", false, func(p packettest.TCP) packettest.Frame {
			if p.IP.Src = dst4; p.IP.V6 {
				p.IP.Src = dst6
			}
			return fragmentOf(p, 0, true).Frame()
		}},
		{"of UDP", false, func(p packettest.TCP) packettest.Frame {
			p = fragmentOf(p, 0, true)
			return packettest.UDP{Link: p.Link, IP: p.IP, Payload: p.Payload}.Frame()
		}},
		{"of ICMP", false, func(p packettest.TCP) packettest.Frame {
			p = fragmentOf(p, 0, true)
			return packettest.ICMP{Link: p.Link, IP: p.IP, Payload: p.Payload}.Frame()
		}},
		{"from another station", true, func(p packettest.TCP) packettest.Frame {
			p.Link.Src = [6]byte{2, 9, 9, 9, 9, 9}
			return fragmentOf(p, 0, true).Frame()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everyWorld(t, func(t *testing.T, w world) {
				a := w.segments(3, 100)
				b := other(a)
				f := tt.make(a[1])
				in := append(arrivals(a[0], b[0]), packettest.Arrival{Frame: f})
				in = append(in, arrivals(a[1], b[1], a[2])...)
				fv := coalesce.Fragment
				if tt.closes {
					wantLeaving(t, nil, in,
						verdicts(coalesce.Started, coalesce.Started, fv, coalesce.Fenced, coalesce.Fenced, coalesce.Merged),
						frames(a[0].Frame(), b[0].Frame(), f, merged(a[1:]...), b[1].Frame()))
					return
				}
				wantLeaving(t, nil, in,
					verdicts(coalesce.Started, coalesce.Started, fv, coalesce.Merged, coalesce.Merged, coalesce.Merged),
					frames(merged(a...), merged(b[:2]...), f))
			})
		})
	}
}

// IPv6 fragments beyond the plain: the atomic fragment, which is a whole packet,
// and one whose fragmented part begins with an extension header, so that TCP
// does not show.
func TestOrderIPv6Fragments(t *testing.T) {
	for name, ext := range map[string][]packettest.Ext{
		"atomic":                 {packettest.Fragment(0, false, 1)},
		"behind Hop-by-Hop":      {packettest.HopByHop(0), packettest.Fragment(4, true, 1)},
		"TCP does not show":      {packettest.Fragment(0, true, 1), packettest.DestinationOptions(0)},
		"behind Segments Left 1": {packettest.Routing(1), packettest.Fragment(0, true, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			p := world{v6: true}.segments(2, 100)
			f := p[1]
			f.IP.Ext = ext
			wantLeaving(t, nil, arrivals(p[0], f, p[1]), verdicts(coalesce.Started, coalesce.Fragment, coalesce.Fenced),
				frames(p[0].Frame(), f.Frame(), p[1].Frame()))
		})
	}
}

// An experimental extension header keeps a packet out of runs, but its flow shows
// behind it.
func TestOrderExperiment(t *testing.T) {
	p := world{v6: true}.segments(2, 100)
	x := p[1]
	x.IP.Ext = []packettest.Ext{packettest.Experiment(0)}
	wantLeaving(t, nil, arrivals(p[0], x, p[1]), verdicts(coalesce.Started, coalesce.ExtHeader, coalesce.Started),
		frames(p[0].Frame(), x.Frame(), p[1].Frame()))
}

// An excluded fragment closes runs like any other. (It once closed none: the
// verdict Excluded hid that it was one.)
func TestOrderExcludedFragment(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.segments(2, 100)
		f := fragmentOf(p[1], 0, true)
		in := arrivals(p[0], f, p[1])
		in[1].Exclude = true
		wantLeaving(t, nil, in, verdicts(coalesce.Started, coalesce.Fragment, coalesce.Fenced),
			frames(p[0].Frame(), f.Frame(), p[1].Frame()))
	})
}

// A fragment that has left closes nothing any more, and what begins after one
// grows.
func TestOrderFenceLeaves(t *testing.T) {
	p := worlds[0].segments(3, 100)
	in := arrivals(fragmentOf(p[0], 0, true), p[0], p[1], p[2])
	wantLeaving(t, nil, in, verdicts(coalesce.Fragment, coalesce.Started, coalesce.Merged, coalesce.Merged),
		frames(in[0].Frame, merged(p...)))

	table := coalesce.New(nil)
	table.Add(packet(in[1], 0))
	table.Add(packet(in[0], 1))
	for table.Pop() != nil {
	}
	table.Add(packet(in[1], 0))
	if v := table.Add(packet(in[2], 1)); v != coalesce.Merged {
		t.Errorf("after an earlier batch with a fragment: %v", v)
	}
}

// TestIdentity changes one part of a flow's identity: another flow, whose
// packets neither join nor close.
func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		name   string
		only   func(w world) bool
		change func(p *packettest.TCP)
	}{
		{"source port", nil, func(p *packettest.TCP) { p.SrcPort = 1 }},
		{"destination port", nil, func(p *packettest.TCP) { p.DstPort = 1 }},
		{"ports swapped", nil, func(p *packettest.TCP) { p.SrcPort, p.DstPort = 443, 40000 }},
		{"source", func(w world) bool { return w.v6 }, func(p *packettest.TCP) { p.IP.Src = netip.MustParseAddr("fd00:0:0:1::1") }},
		{"destination", func(w world) bool { return w.v6 }, func(p *packettest.TCP) { p.IP.Dst = netip.MustParseAddr("fd00:0:0:1::2") }},
		{"source", func(w world) bool { return !w.v6 }, func(p *packettest.TCP) { p.IP.Src = netip.MustParseAddr("10.0.0.7") }},
		{"destination", func(w world) bool { return !w.v6 }, func(p *packettest.TCP) { p.IP.Dst = netip.MustParseAddr("10.0.0.7") }},
		{"flow label", func(w world) bool { return w.v6 }, func(p *packettest.TCP) { p.IP.Label = 0x80000 }},
		{"source station", func(w world) bool { return w.link.Ethernet }, func(p *packettest.TCP) { p.Link.Src = [6]byte{2, 0, 0, 0, 0, 9} }},
		{"destination station", func(w world) bool { return w.link.Ethernet }, func(p *packettest.TCP) { p.Link.Dst = [6]byte{2, 0, 0, 0, 0, 9} }},
		{"VLAN", func(w world) bool { return w.link.VLAN != 0 }, func(p *packettest.TCP) { p.Link.VLAN = 6 }},
		{"VLAN priority", func(w world) bool { return w.link.VLAN != 0 }, func(p *packettest.TCP) { p.Link.VLAN |= 0x2000 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everyWorld(t, func(t *testing.T, w world) {
				if tt.only != nil && !tt.only(w) {
					return
				}
				p := w.segments(2, 100)
				q := p[1]
				tt.change(&q)
				wantLeaving(t, nil, arrivals(p[0], q, p[1]), verdicts(coalesce.Started, coalesce.Started, coalesce.Merged),
					frames(merged(p...), q.Frame()))
			})
		})
	}
}
