// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// asUDP is p as a datagram of the same ports.
func asUDP(p packettest.TCP) packettest.UDP {
	return packettest.UDP{Link: p.Link, IP: p.IP, SrcPort: p.SrcPort, DstPort: p.DstPort, Payload: p.Payload}
}

// TCP and UDP flows of the same addresses and ports in turn: each merges, and
// what leaves is in the order of first packets.
func TestOrderInterleavedUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		s, d := w.segments(3, 100), w.datagrams(3, 100)
		o := slices.Clone(d)
		for i := range o {
			o[i].SrcPort = 50000
		}
		in := slices.Concat(arrivals(d[0]), arrivals(s[0]), arrivals(o[0]), arrivals(s[1]), arrivals(d[1]),
			arrivals(o[1:]...), arrivals(s[2]), arrivals(d[2]))
		const s0, m = coalesce.Started, coalesce.Merged
		wantLeaving(t, udp, in, verdicts(s0, s0, s0, m, m, m, m, m, m), frames(merged(d...), merged(s...), merged(o...)))
	})
}

// A datagram that passes closes its flow's run and no other, so that none of the
// flow overtakes it.
func TestOrderPassingUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for _, r := range rowsOfUDP(w) {
			if r.outcome != passes || r.want == coalesce.Longer {
				continue
			}
			p := w.datagrams(2, 100)
			between := p[1]
			r.change(&between)
			in := arrivals(p[0], between, p[1])
			wantLeaving(t, udp, in, verdicts(coalesce.Started, r.want, coalesce.Started),
				frames(p[0].Frame(), between.Frame(), p[1].Frame()))

			between.DstPort = 53
			want := r.want
			if want == coalesce.BadChecksum {
				want = coalesce.Started // found out only where it would join
			}
			in = arrivals(p[0], between, p[1])
			wantLeaving(t, udp, in, verdicts(coalesce.Started, want, coalesce.Merged), frames(merged(p...), between.Frame()))
		}
	})
}

// A fragment closes the runs of its addresses and protocol. One that begins with
// an extension header may be of either protocol and closes both's.
func TestOrderFragmentsUDP(t *testing.T) {
	hidden := []packettest.Ext{packettest.Fragment(0, true, 1), packettest.DestinationOptions(0)}
	everyWorld(t, func(t *testing.T, w world) {
		s, d := w.segments(2, 100), w.datagrams(2, 100)
		whole := fragmentOf(s[1], 0, true)
		for name, tt := range map[string]struct {
			fragment packettest.Frame
			of       string
		}{
			"UDP":    {asUDP(whole).Frame(), "UDP"},
			"TCP":    {whole.Frame(), "TCP"},
			"ICMP":   {packettest.ICMP{Link: w.link, IP: whole.IP}.Frame(), ""},
			"hidden": {fragmentIn(asUDP(whole), hidden), "UDP TCP"},
		} {
			if name == "hidden" && !w.v6 {
				continue
			}
			in := arrivals(s[0])
			in = append(in, arrivals(d[0])...)
			in = append(in, packettest.Arrival{Frame: tt.fragment})
			in = append(append(in, arrivals(s[1])...), arrivals(d[1])...)
			v := verdicts(coalesce.Started, coalesce.Started, coalesce.Fragment, coalesce.Merged, coalesce.Merged)
			left := frames(s[0].Frame(), d[0].Frame(), tt.fragment)
			for i, of := range []string{"TCP", "UDP"} {
				if bytes.Contains([]byte(tt.of), []byte(of)) {
					v[3+i] = coalesce.Fenced
					left = append(left, in[3+i].Frame)
				} else if of == "TCP" {
					left[0] = merged(s...)
				} else {
					left[1] = merged(d...)
				}
			}
			t.Run(name, func(t *testing.T) { wantLeaving(t, udp, in, v, left) })
		}
	})
}

func fragmentIn(p packettest.UDP, ext []packettest.Ext) packettest.Frame {
	p.IP.Ext = ext
	return p.Frame()
}

// A hidden fragment is a fence without Config.UDP too, and of IPv4, where no
// protocol is hidden, the number that stands for one is none.
func TestOrderHiddenFragment(t *testing.T) {
	p := world{v6: true}.segments(3, 100)
	f := p[1]
	f.IP.Ext = []packettest.Ext{packettest.Fragment(0, true, 1), packettest.HopByHop(0)}
	wantLeaving(t, nil, arrivals(p[0], f, p[1], p[2]),
		verdicts(coalesce.Started, coalesce.Fragment, coalesce.Fenced, coalesce.Merged),
		frames(p[0].Frame(), f.Frame(), merged(p[1:]...)))

	q := worlds[0].segments(2, 100)
	g := fragmentOf(q[1], 0, true).Frame()
	g.Data[9] = 0
	packettest.FixIPv4(g.Data)
	in := slices.Concat(arrivals(q[0]), []packettest.Arrival{{Frame: g}}, arrivals(q[1]))
	wantLeaving(t, nil, in, verdicts(coalesce.Started, coalesce.Fragment, coalesce.Merged), frames(merged(q...), g))
}

// TestIdentityUDP changes one part of a flow's identity.
func TestIdentityUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for name, change := range map[string]func(p *packettest.UDP){
			"source port":      func(p *packettest.UDP) { p.SrcPort = 1 },
			"destination port": func(p *packettest.UDP) { p.DstPort = 1 },
			"ports swapped":    func(p *packettest.UDP) { p.SrcPort, p.DstPort = 443, 40000 },
			"source":           func(p *packettest.UDP) { p.IP.Src = addr(w.v6, 9) },
			"destination":      func(p *packettest.UDP) { p.IP.Dst = addr(w.v6, 9) },
			"flow label":       func(p *packettest.UDP) { p.IP.Label = 9 },
			"station":          func(p *packettest.UDP) { p.Link.Src = [6]byte{2, 9} },
		} {
			if name == "flow label" && !w.v6 || name == "station" && !w.link.Ethernet {
				continue
			}
			p := w.datagrams(2, 100)
			q := p[1]
			change(&q)
			t.Run(name, func(t *testing.T) {
				wantLeaving(t, udp, arrivals(p[0], q, p[1]), verdicts(coalesce.Started, coalesce.Started, coalesce.Merged),
					frames(merged(p...), q.Frame()))
			})
		}
	})
}

// Carriers: a run's fields.
func TestRunFieldsUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.datagrams(3, 100)
		p[2].Payload = p[2].Payload[:60]
		table := coalesce.New(udp)
		for i, a := range arrivals(p...) {
			table.Add(packet(a, 40+i))
		}
		r := table.Pop()
		f := p[0].Frame()
		hdrLen := len(f.Data) - 100
		if r.ID != 40 || r.Count != 3 || r.SegmentSize != 100 || r.PayloadLen != 260 ||
			r.LinkHdrLen != f.LinkHdrLen || r.HeaderLen != hdrLen || r.FixedID || r.Vouched || r.Transport != 17 {
			t.Errorf("got %+v, want UDP, ID 40, count 3, segment size 100, payload 260, headers %d and %d", r, f.LinkHdrLen, hdrLen)
		}
	})
}

// A datagram in pieces is the same datagram.
func TestPiecesUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for _, r := range rowsOfUDP(w) {
			p := w.datagrams(3, 101)
			r.change(&p[1])
			whole := packettest.Burst{Arrivals: arrivals(p...), UDP: true}
			want := compare(t, coalesce.New(udp), whole).verdicts
			for _, tail := range []int{1, 2, 7, 100} {
				cut := packettest.Burst{Arrivals: slices.Clone(whole.Arrivals), UDP: true}
				for i := range cut.Arrivals {
					a := &cut.Arrivals[i]
					if a.HeadLen, a.TailLen = len(p[0].Frame().Data)-101+i, tail; len(p[i].IP.Ext)+len(p[i].IP.Options) > 0 {
						a.TailLen = 0
					}
				}
				if got := compare(t, coalesce.New(udp), cut).verdicts; !slices.Equal(got, want) {
					t.Errorf("%s in pieces of %d: got %v, want %v", r.name, tail, got, want)
				}
			}
		}
	})
}

// Headers that Head does not hold, or that the frame does not, make a datagram
// pass.
func TestTooShortUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.datagrams(3, 30)
		f := p[1].Frame()
		for n := range len(f.Data) {
			in := arrivals(p...)
			in[1].Data = f.Data[:n:n]
			v := compare(t, coalesce.New(udp), packettest.Burst{Arrivals: in, UDP: true}).verdicts[1]
			if v != coalesce.Malformed && v != coalesce.NotIP && v != coalesce.LengthMismatch {
				t.Errorf("%d of %d bytes: %v", n, len(f.Data), v)
			}
			v = coalesce.New(udp).Add(&coalesce.Packet{
				Head: f.Data[:n:n], Tail: [][]byte{f.Data[n:]},
				LinkHdrLen: f.LinkHdrLen, Protocol: tcpip.NetworkProtocolNumber(f.Protocol),
			})
			if short := n < len(f.Data)-30; short != (v == coalesce.Malformed || v == coalesce.NotIP) || !short && v != coalesce.Started {
				t.Errorf("head of %d bytes: %v", n, v)
			}
		}
	})
}

// The merged checksum must be right if the members' were, verified or not. No
// link can vouch for a checksum that is not there.
func TestVouchedUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		for vouched := range 8 { // which of the three
			p := w.datagrams(3, 101)
			in := arrivals(p...)
			for i := range in {
				in[i].Vouched = vouched>>i&1 != 0
			}
			wantLeaving(t, udp, in, verdicts(coalesce.Started, coalesce.Merged, coalesce.Merged), frames(merged(p...)))
		}
		p := w.datagrams(3, 101)
		p[1].NoChecksum, p[2].BadChecksum = true, true
		in := arrivals(p...)
		for i := range in {
			in[i].Vouched = true
		}
		wantLeaving(t, udp, in, verdicts(coalesce.Started, coalesce.NoChecksum, coalesce.Started), leaving(passes, p))
	})
}

// EndsHere and Exclude hold for datagrams.
func TestNotMergedUDP(t *testing.T) {
	everyWorld(t, func(t *testing.T, w world) {
		p := w.datagrams(3, 100)
		in := arrivals(p...)
		in[1].Exclude = true
		wantLeaving(t, udp, in, verdicts(coalesce.Started, coalesce.Excluded, coalesce.Started), leaving(passes, p))

		asked := ""
		cfg := &coalesce.Config{UDP: true, EndsHere: func(protocol tcpip.NetworkProtocolNumber, dst []byte) bool {
			asked += fmt.Sprintf("%x %x,", uint32(protocol), dst[len(dst)-1])
			return false
		}}
		wantLeaving(t, cfg, arrivals(p...), verdicts(coalesce.Started, coalesce.NotLocal, coalesce.NotLocal), leaving(passes, p))
		if want := map[bool]string{false: "800 2,", true: "86dd 2,"}[w.v6]; asked != want {
			t.Errorf("asked for %q, want %q", asked, want)
		}
	})
}
