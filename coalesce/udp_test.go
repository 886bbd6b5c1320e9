// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// udpRow is a row of RULES.md about datagrams. change alters the second of three,
// and of outcome begins the third as well.
type udpRow struct {
	name    string
	want    coalesce.Verdict
	outcome outcome
	change  func(p *packettest.UDP)
}

var udpRows = []udpRow{
	{"equal", coalesce.Merged, merges, func(p *packettest.UDP) {}},
	{"checksum wrong", coalesce.BadChecksum, passes, func(p *packettest.UDP) { p.BadChecksum = true }},
	{"no checksum", coalesce.NoChecksum, passes, func(p *packettest.UDP) { p.NoChecksum = true }},
	{"shorter", coalesce.MergedShort, ends, func(p *packettest.UDP) { p.Payload = p.Payload[:len(p.Payload)-1] }},
	{"one byte", coalesce.MergedShort, ends, func(p *packettest.UDP) { p.Payload = p.Payload[:1] }},
	{"longer", coalesce.Longer, passes, func(p *packettest.UDP) { p.Payload = packettest.Stream(9, len(p.Payload)+1) }},
	{"empty", coalesce.NoPayload, passes, func(p *packettest.UDP) { p.Payload = nil }},
	{"empty, no checksum", coalesce.NoPayload, passes, func(p *packettest.UDP) { p.Payload, p.NoChecksum = nil, true }},
	{"UDP length too large", coalesce.LengthMismatch, passes, func(p *packettest.UDP) { p.LengthDelta = 1 }},
	{"UDP length too small", coalesce.LengthMismatch, passes, func(p *packettest.UDP) { p.LengthDelta = -1 }},
	{"UDP length of an empty one", coalesce.LengthMismatch, passes, func(p *packettest.UDP) { p.LengthDelta = -len(p.Payload) }},
	{"UDP length 0", coalesce.LengthMismatch, passes, func(p *packettest.UDP) { p.LengthDelta = -len(p.Payload) - 8 }},
	{"both lengths too large", coalesce.LengthMismatch, passes, func(p *packettest.UDP) { p.LengthDelta, p.IP.LengthDelta = 1, 1 }},
	{"both lengths too small", coalesce.LengthMismatch, passes, func(p *packettest.UDP) { p.LengthDelta, p.IP.LengthDelta = -1, -1 }},
}

// rowsOfUDP are udpRows and those about IP.
func rowsOfUDP(w world) []udpRow {
	all := slices.Clone(udpRows)
	for _, r := range ipRows {
		if r.ip == 4 && w.v6 || r.ip == 6 && !w.v6 {
			continue
		}
		all = append(all, udpRow{r.name, r.want, r.outcome, func(p *packettest.UDP) {
			t := packettest.TCP{Link: p.Link, IP: p.IP}
			r.change(&t)
			p.Link, p.IP = t.Link, t.IP
		}})
	}
	return all
}

// TestRowsUDP is TestRows for datagrams.
func TestRowsUDP(t *testing.T) {
	for _, w := range worlds {
		for _, size := range []int{100, 101} {
			for _, r := range rowsOfUDP(w) {
				t.Run(fmt.Sprintf("%s/%d/%s", w.name, size, r.name), func(t *testing.T) {
					p := w.datagrams(3, size)
					if r.change(&p[1]); r.outcome == begins {
						r.change(&p[2])
					}
					wantOutcome(t, p, r.outcome, r.want)
				})
			}
		}
	}
}

// Without Config.UDP no datagram merges, and one that would have a verdict of its
// own has the common one, but for what is wrong with its IP header.
func TestUDPOff(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for _, r := range udpRows {
			p := w.datagrams(3, 100)
			r.change(&p[1])
			want := coalesce.NotTCP
			wantLeaving(t, nil, arrivals(p...), verdicts(want, want, want), leaving(passes, p))
		}
		// Nor does it close a run of TCP that happens to have its ports.
		s, d := w.segments(2, 100), w.datagrams(1, 100)[0]
		f := fragmentOf(packettest.TCP{Link: d.Link, IP: d.IP}, 0, true)
		d.IP = f.IP
		in := slices.Concat(arrivals(s[0]), arrivals(d), arrivals(s[1]))
		wantLeaving(t, nil, in, verdicts(coalesce.Started, coalesce.Fragment, coalesce.Merged),
			frames(merged(s...), d.Frame()))
	})
}

// TestFirstUDP has the datagrams that can start no run.
func TestFirstUDP(t *testing.T) {
	for _, r := range udpRows {
		if r.outcome != passes || r.want == coalesce.BadChecksum || r.want == coalesce.Longer {
			continue // these can, or it shows only later
		}
		t.Run(r.name, func(t *testing.T) {
			everyWorld(t, func(t *testing.T, w world) {
				p := w.datagrams(2, 100)
				r.change(&p[0])
				wantLeaving(t, udp, arrivals(p...), verdicts(r.want, coalesce.Started), frames(p[0].Frame(), p[1].Frame()))
			})
		})
	}
}

// A wrong checksum of the held datagram shows when a second wants to join.
func TestHeldBadChecksumUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.datagrams(3, 100)
		p[0].BadChecksum = true
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.HeldBadChecksum, coalesce.Merged),
			frames(p[0].Frame(), merged(p[1:]...)))
	})
}

// A checksum that computes to 0 is sent as 0xffff. It is a right one, in each
// place of a run, and a merged packet may have it too.
func TestChecksumZeroUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for _, size := range []int{100, 101} {
			for at := range 3 {
				p := w.datagrams(3, size)
				p[at].FFFF = true
				f := p[at].Frame()
				p[at].Payload = f.Data[len(f.Data)-size:]
				if i := len(f.Data) - size - 2; f.Data[i] != 0xff || f.Data[i+1] != 0xff {
					t.Fatalf("checksum %x", f.Data[i:i+2])
				}
				wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
			}
			p := w.datagrams(2, size)
			all := p[0]
			all.Payload, all.FFFF = packettest.Stream(1, 2*size), true
			f := all.Frame()
			payload := f.Data[len(f.Data)-2*size:]
			p[0].Payload, p[1].Payload = payload[:size], payload[size:]
			wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged), frames(f))
		}
	})
}

// A run takes 64 datagrams; of TCP it takes what fits.
func TestFullUDP(t *testing.T) {
	want := func(n int) []coalesce.Verdict {
		v := verdicts(coalesce.Started)
		for len(v) < n {
			v = append(v, coalesce.Merged)
		}
		return v
	}
	everyWorld(t, func(t *testing.T, w world) {
		p := w.datagrams(130, 33)
		v := slices.Concat(want(63), verdicts(coalesce.MergedFull), want(63), verdicts(coalesce.MergedFull), want(2))
		wantLeaving(t, udp, arrivals(p...), v, frames(merged(p[:64]...), merged(p[64:128]...), merged(p[128:]...)))

		p = w.datagrams(65, 33)
		p[63].Payload = p[63].Payload[:5]
		v = append(want(63), coalesce.MergedShort, coalesce.Started)
		wantLeaving(t, udp, arrivals(p...), v, frames(merged(p[:64]...), p[64].Frame()))

		s := w.segments(100, 33)
		wantLeaving(t, udp, arrivals(s...), want(100), frames(merged(s...)))
	})
}

// TestSizeLimitUDP meets 65535 bytes exactly and exceeds it by one.
func TestSizeLimitUDP(t *testing.T) {
	for _, tt := range []struct {
		name        string
		v6          bool
		size, count int
		fits        bool
	}{
		{"v4 exactly", false, 5039, 13, true},
		{"v4 by one", false, 16377, 4, false},
		{"v6 exactly", true, 21829, 3, true},
		{"v6 by one", true, 16372, 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world{link: packettest.Link{Ethernet: true, VLAN: 1}, v6: tt.v6}
			wantSizeLimit(t, w.datagrams(tt.count+1, tt.size), tt.fits)
		})
	}
}

// IDs of datagrams count or stay, like those of segments.
func TestIPv4IDUDP(t *testing.T) {
	for _, df := range []bool{false, true} {
		p := worlds[0].datagrams(3, 100)
		for i := range p {
			p[i].IP.ID, p[i].IP.DF = 7, df
		}
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
		p[2].IP.ID = 9
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.IDDiffers),
			frames(merged(p[:2]...), p[2].Frame()))
		p[1].IP.ID = 8
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
	}
}

// Extension headers that may merge if they are equal.
func TestEqualExtHeadersUDP(t *testing.T) {
	p := world{v6: true}.datagrams(3, 101)
	for i := range p {
		p[i].IP.Ext = []packettest.Ext{packettest.HopByHop(1), packettest.DestinationOptions(2), packettest.Routing(0)}
	}
	wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
}

// Small datagrams come padded: trimmed when they join, kept on one that leaves
// alone.
func TestPaddingUDP(t *testing.T) {
	for _, link := range []packettest.Link{{Ethernet: true, Pad: 60}, {Ethernet: true, Pad: 60, VLAN: 5}} {
		p := world{link: link}.datagrams(3, 9)
		p[2].Payload = p[2].Payload[:1]
		if n := len(p[0].Frame().Data); n != 60 {
			t.Fatalf("frame of %d bytes", n)
		}
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.Merged, coalesce.MergedShort), frames(merged(p...)))
		in := arrivals(p...)
		for i := range in {
			in[i].HeadLen, in[i].TailLen = 46, 1+i
		}
		wantLeaving(t, udp, in, verdicts(coalesce.Started, coalesce.Merged, coalesce.MergedShort), frames(merged(p...)))

		p[1].Payload = nil
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.NoPayload, coalesce.Started), leaving(passes, p))
		p[1].Payload, p[1].Link.Pad = p[0].Payload, 61
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.LengthMismatch, coalesce.Started), leaving(passes, p))
		// A UDP length that counts the padding is wrong all the same.
		p[1].Link.Pad, p[1].LengthDelta = 60, 1
		wantLeaving(t, udp, arrivals(p...), verdicts(coalesce.Started, coalesce.LengthMismatch, coalesce.Started), leaving(passes, p))
	}
}
