// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"fmt"
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// everyWorld runs f as a subtest for each world.
func everyWorld(t *testing.T, f func(t *testing.T, w world)) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

func verdicts(v ...coalesce.Verdict) []coalesce.Verdict { return v }

func frames(f ...packettest.Frame) []packettest.Frame { return f }

// TestFirst has the segments that can start no run that grows.
func TestFirst(t *testing.T) {
	for _, tt := range []struct {
		name   string
		want   coalesce.Verdict
		change func(p *packettest.TCP)
	}{
		{"PSH", coalesce.Alone, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.PSH }},
		{"FIN", coalesce.Alone, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.FIN }},
		{"CWR", coalesce.CWR, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.CWR }},
		{"URG", coalesce.Control, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.URG }},
		{"SYN", coalesce.Control, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.SYN }},
		{"RST", coalesce.Control, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.RST }},
		{"pure ACK", coalesce.NoPayload, func(p *packettest.TCP) { p.Payload = nil }},
		{"checksum 0xffff", coalesce.ChecksumFFFF, func(p *packettest.TCP) { p.FFFF = true }},
		{"trailing bytes", coalesce.LengthMismatch, func(p *packettest.TCP) { p.Link.Trailing = make([]byte, 4) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everyWorld(t, func(t *testing.T, w world) {
				p := w.segments(2, 100)
				tt.change(&p[0])
				p[1].Seq = p[0].Seq + uint32(len(p[0].Payload))
				// The second is as the first would need it.
				p[1].Flags = p[0].Flags &^ (packettest.PSH | packettest.FIN | packettest.SYN | packettest.RST | packettest.CWR | packettest.URG)
				wantLeaving(t, nil, arrivals(p...), verdicts(tt.want, coalesce.Started), frames(p[0].Frame(), p[1].Frame()))
			})
		})
	}
}

// A wrong checksum of the held packet shows when a second wants to join: the
// held one passes, the newcomer begins a run.
func TestHeldBadChecksum(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.segments(3, 100)
		p[0].BadChecksum = true
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.HeldBadChecksum, coalesce.Merged),
			frames(p[0].Frame(), merged(p[1:]...)))
	})
}

// Extension headers that may merge if they are equal.
func TestEqualExtHeaders(t *testing.T) {
	for _, tt := range []struct {
		name string
		ext  []packettest.Ext
	}{
		{"Hop-by-Hop", []packettest.Ext{packettest.HopByHop(1)}},
		{"Destination Options", []packettest.Ext{packettest.DestinationOptions(1)}},
		{"Routing, Segments Left 0", []packettest.Ext{packettest.Routing(0)}},
		{"all", []packettest.Ext{packettest.HopByHop(1), packettest.DestinationOptions(2), packettest.Routing(0), packettest.DestinationOptions(3)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, link := range []packettest.Link{{}, {Ethernet: true}} {
				p := world{link: link, v6: true}.segments(3, 101)
				for i := range p {
					p[i].IP.Ext = tt.ext
				}
				wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
			}
		})
	}
}

// TestIPv4ID has the two ways in which IDs may go on, and that the second packet
// decides which, with and without DF.
func TestIPv4ID(t *testing.T) {
	const m, d, s = coalesce.Merged, coalesce.IDDiffers, coalesce.Started
	for _, tt := range []struct {
		name     string
		ids      []uint16
		verdicts []coalesce.Verdict
		runs     []int // packets in each that leaves
		fixed    []bool
	}{
		{"counting", []uint16{7, 8, 9}, verdicts(s, m, m), []int{3}, []bool{false}},
		{"counting through 0", []uint16{0xfffe, 0xffff, 0}, verdicts(s, m, m), []int{3}, []bool{false}},
		{"fixed", []uint16{7, 7, 7}, verdicts(s, m, m), []int{3}, []bool{true}},
		{"fixed at 0", []uint16{0, 0, 0}, verdicts(s, m, m), []int{3}, []bool{true}},
		{"counting, then fixed", []uint16{7, 8, 7}, verdicts(s, m, d), []int{2, 1}, []bool{false, false}},
		{"counting, then again", []uint16{7, 8, 8}, verdicts(s, m, d), []int{2, 1}, []bool{false, false}},
		{"fixed, then counting", []uint16{7, 7, 9}, verdicts(s, m, d), []int{2, 1}, []bool{true, false}},
		{"fixed, then one more", []uint16{7, 7, 8}, verdicts(s, m, d), []int{2, 1}, []bool{true, false}},
		{"neither", []uint16{7, 9, 10}, verdicts(s, d, m), []int{1, 2}, []bool{false, false}},
	} {
		for _, df := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/DF=%v", tt.name, df), func(t *testing.T) {
				p := worlds[0].segments(len(tt.ids), 100)
				for i, id := range tt.ids {
					p[i].IP.ID, p[i].IP.DF = id, df
				}
				var want []packettest.Frame
				for rest := p; len(rest) > 0; rest = rest[tt.runs[len(want)-1]:] {
					want = append(want, merged(rest[:tt.runs[len(want)]]...))
				}
				wantLeaving(t, nil, arrivals(p...), tt.verdicts, want)

				table := coalesce.New(nil)
				for i, a := range arrivals(p...) {
					table.Add(packet(a, i))
				}
				for i, fixed := range tt.fixed {
					if r := table.Pop(); r.FixedID != fixed {
						t.Errorf("run %d: FixedID is %v", i, r.FixedID)
					}
				}
			})
		}
	}
}

// TestSizeLimit meets 65535 bytes exactly and exceeds it by one.
func TestSizeLimit(t *testing.T) {
	for _, tt := range []struct {
		name        string
		v6          bool
		size, count int
		fits        bool
	}{
		{"v4 exactly", false, 13099, 5, true},
		{"v4 by one", false, 16374, 4, false},
		{"v6 exactly", true, 13095, 5, true},
		{"v6 by one", true, 16369, 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, link := range []packettest.Link{{}, {Ethernet: true, VLAN: 1}} { // link headers do not count
				p := world{link: link, v6: tt.v6}.segments(tt.count+1, tt.size)
				for i := range p {
					p[i].Options = nil
				}
				wantSizeLimit(t, p, tt.fits)
			}
		})
	}
}

// wantSizeLimit wants that all but the last packet merge, or if they do not fit
// into one, all but the last two.
func wantSizeLimit[P builder](t *testing.T, p []P, fits bool) {
	t.Helper()
	n := len(p) - 1
	if !fits {
		n--
	}
	v := verdicts(coalesce.Started)
	for range n - 1 {
		v = append(v, coalesce.Merged)
	}
	v = append(v, coalesce.TooLarge)
	last := p[n].Frame()
	if !fits {
		v, last = append(v, coalesce.Merged), merged(p[n:]...)
	}
	wantLeaving(t, udp, arrivals(p...), v, frames(merged(p[:n]...), last))
}

// Short Ethernet frames are padded to 60 bytes: trimmed when it joins, kept on a
// packet that leaves alone.
func TestPadding(t *testing.T) {
	link := packettest.Link{Ethernet: true, Pad: 60}
	padded := func(n int, size int) []packettest.TCP {
		p := world{link: link}.segments(n, size)
		for i := range p {
			p[i].Options = nil
		}
		return p
	}
	t.Run("trimmed", func(t *testing.T) {
		p := padded(3, 5)
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
	})
	t.Run("short last", func(t *testing.T) {
		p := padded(2, 100)
		p[1].Payload = p[1].Payload[:1]
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.MergedShort), frames(merged(p...)))
	})
	t.Run("kept on a single packet", func(t *testing.T) {
		p := padded(1, 1)
		if n := len(p[0].Frame().Data); n != 60 {
			t.Fatalf("frame of %d bytes", n)
		}
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started), frames(p[0].Frame()))
	})
	t.Run("padded pure ACK", func(t *testing.T) {
		p := padded(2, 5)
		p[1].Payload = nil
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.NoPayload), frames(p[0].Frame(), p[1].Frame()))
	})
	t.Run("61 bytes are no padding", func(t *testing.T) {
		p := padded(2, 5)
		p[1].Link.Pad = 61
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.LengthMismatch), frames(p[0].Frame(), p[1].Frame()))
	})
	t.Run("bare IP has no padding", func(t *testing.T) {
		p := padded(2, 5)
		p[0].Link, p[1].Link = packettest.Link{}, packettest.Link{Trailing: make([]byte, 3)}
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.LengthMismatch), frames(p[0].Frame(), p[1].Frame()))
	})
	t.Run("VLAN", func(t *testing.T) {
		p := padded(2, 1)
		for i := range p {
			p[i].Link.VLAN = 5
		}
		wantLeaving(t, nil, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged), frames(merged(p...)))
	})
	t.Run("padding in pieces", func(t *testing.T) {
		p := padded(2, 1)
		in := arrivals(p...)
		in[0].HeadLen, in[0].TailLen = 54, 2
		in[1].HeadLen, in[1].TailLen = 54, 1
		wantLeaving(t, nil, in, verdicts(coalesce.Started, coalesce.Merged), frames(merged(p...)))
	})
}
