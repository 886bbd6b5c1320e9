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

// world is a way in which packets arrive. Rules hold in all of them.
type world struct {
	name string
	link packettest.Link
	v6   bool
}

var worlds = []world{
	{"bare/v4", packettest.Link{}, false},
	{"bare/v6", packettest.Link{}, true},
	{"Ethernet/v4", packettest.Link{Ethernet: true}, false},
	{"Ethernet/v6", packettest.Link{Ethernet: true}, true},
	{"VLAN/v4", packettest.Link{Ethernet: true, VLAN: 5}, false},
	{"VLAN/v6", packettest.Link{Ethernet: true, VLAN: 5}, true},
}

// segments returns n segments of one flow with size bytes each, sequence number
// and IPv4 ID wrapping within the first three.
func (w world) segments(n, size int) []packettest.TCP {
	var out []packettest.TCP
	for i := range n {
		seq := uint32(-size) - 1 + uint32(i*size)
		out = append(out, packettest.TCP{
			Link: w.link, IP: packettest.IP{V6: w.v6, ID: 0xfffe + uint16(i), TOS: 2},
			Seq: seq, Ack: 77, Window: 512, Options: packettest.Timestamp(5, 6),
			Payload: packettest.Stream(seq, size),
		})
	}
	return out
}

// datagrams returns n datagrams of one flow with size bytes each, IPv4 ID wrapping
// within the first three.
func (w world) datagrams(n, size int) []packettest.UDP {
	var out []packettest.UDP
	for i := range n {
		out = append(out, packettest.UDP{
			Link: w.link, IP: packettest.IP{V6: w.v6, ID: 0xfffe + uint16(i), TOS: 2},
			Payload: packettest.Stream(uint32(i*size), size),
		})
	}
	return out
}

// builder is what packets are built by.
type builder interface {
	packettest.TCP | packettest.UDP
	Frame() packettest.Frame
}

// merged is what segments or datagrams are as one, written by the builder alone.
func merged[P builder](p ...P) packettest.Frame {
	if u, ok := any(p).([]packettest.UDP); ok {
		all := u[0]
		all.Payload, all.FFFF = nil, false
		for _, m := range u {
			all.Payload = append(all.Payload, m.Payload...)
		}
		all.Link.Pad = 0
		return all.Frame()
	}
	return mergedTCP(any(p).([]packettest.TCP))
}

func mergedTCP(p []packettest.TCP) packettest.Frame {
	all := p[0]
	all.Payload = nil
	for _, m := range p {
		all.Payload = append(all.Payload, m.Payload...)
	}
	if last := p[len(p)-1]; last.Flags != 0 {
		all.Flags = packettest.ACK | p[0].Flags | last.Flags&(packettest.PSH|packettest.FIN)
	}
	all.Link.Pad = 0
	return all.Frame()
}

func arrivals[P builder](p ...P) []packettest.Arrival {
	var out []packettest.Arrival
	for _, m := range p {
		out = append(out, packettest.Arrival{Frame: m.Frame()})
	}
	return out
}

// wantLeaving adds all packets to a Table, checks verdicts, and compares what
// leaves byte for byte. It also asks the slow coalescer.
func wantLeaving(t *testing.T, cfg *coalesce.Config, in []packettest.Arrival, verdicts []coalesce.Verdict, want []packettest.Frame) {
	t.Helper()
	table := coalesce.New(cfg)
	var got []coalesce.Verdict
	for i, a := range in {
		got = append(got, table.Add(packet(a, i)))
	}
	if !slices.Equal(got, verdicts) {
		t.Errorf("verdicts: got %v, want %v", got, verdicts)
	}
	n, members := 0, 0
	for r := table.Pop(); r != nil; r = table.Pop() {
		f := take(r, in)
		if n < len(want) {
			g := packettest.Frame{Data: f.bytes, LinkHdrLen: want[n].LinkHdrLen, Protocol: want[n].Protocol}
			if d := packettest.Diff(g, want[n]); d != "" {
				t.Errorf("packet %d that left (%d merged): %s", n, r.Count, d)
			}
		}
		members += r.Count
		n++
	}
	if n != len(want) || members != len(in) {
		t.Errorf("%d packets left with %d members, want %d with %d", n, members, len(want), len(in))
	}
	if cfg == nil || cfg.EndsHere == nil {
		compare(t, coalesce.New(cfg), packettest.Burst{Arrivals: in, UDP: cfg != nil && cfg.UDP})
	}
}

// outcome is what becomes of three segments of a flow of which the second, or
// the second and the third, are not quite the same.
type outcome int

const (
	merges outcome = iota // all three in one
	ends                  // the second joins and ends the run
	begins                // the second closes the run and begins another
	passes                // the second closes the run and passes; the third begins another
)

func leaving[P builder](o outcome, p []P) []packettest.Frame {
	switch o {
	case merges:
		return []packettest.Frame{merged(p...)}
	case ends:
		return []packettest.Frame{merged(p[:2]...), p[2].Frame()}
	case begins:
		return []packettest.Frame{p[0].Frame(), merged(p[1:]...)}
	}
	return []packettest.Frame{p[0].Frame(), p[1].Frame(), p[2].Frame()}
}

func (o outcome) verdicts(second coalesce.Verdict) []coalesce.Verdict {
	return []coalesce.Verdict{coalesce.Started, second, [...]coalesce.Verdict{
		merges: coalesce.Merged, ends: coalesce.Started, begins: coalesce.Merged, passes: coalesce.Started,
	}[o]}
}

// wantOutcome wants it of three packets that a row has changed.
func wantOutcome[P builder](t *testing.T, p []P, o outcome, want coalesce.Verdict) {
	t.Helper()
	v := o.verdicts(want)
	if want == coalesce.Longer {
		// A longer one begins a run of its own, which the third joins and ends.
		v[2], o = coalesce.MergedShort, begins
	}
	wantLeaving(t, udp, arrivals(p...), v, leaving(o, p))
}

// udp merges UDP too. TCP must not notice.
var udp = &coalesce.Config{UDP: true}

// row is a row of RULES.md's table. change alters the second segment, and of
// outcome begins the third as well.
type row struct {
	name    string
	ip      int // 4 or 6 where the row is about one of them
	want    coalesce.Verdict
	outcome outcome
	change  func(p *packettest.TCP)
}

var rows = slices.Concat(ipRows, tcpRows)

// ipRows look at nothing but IP and link, and hold for datagrams too.
var ipRows = []row{
	{"equal", 0, coalesce.Merged, merges, func(p *packettest.TCP) {}},

	{"IPv4 options", 4, coalesce.IPOptions, passes, func(p *packettest.TCP) { p.IP.Options = []byte{1, 1, 1, 0} }},
	{"IPv4 reserved flag", 4, coalesce.ReservedFlag, passes, func(p *packettest.TCP) { p.IP.Reserved = true }},
	{"IPv4 header checksum wrong", 4, coalesce.BadIPChecksum, passes, func(p *packettest.TCP) { p.IP.BadChecksum = true }},
	{"IPv4 header checksum 0xffff", 4, coalesce.ChecksumFFFF, passes, func(p *packettest.TCP) { p.IP.FFFF = true }},
	{"TTL", 0, coalesce.TTLDiffers, begins, func(p *packettest.TCP) { p.IP.TTL = 63 }},
	{"TOS DSCP", 0, coalesce.TOSDiffers, begins, func(p *packettest.TCP) { p.IP.TOS |= 0x80 }},
	{"TOS DSCP low", 0, coalesce.TOSDiffers, begins, func(p *packettest.TCP) { p.IP.TOS |= 0x08 }},
	{"TOS ECN: congestion experienced", 0, coalesce.TOSDiffers, begins, func(p *packettest.TCP) { p.IP.TOS |= 3 }},
	{"DF", 4, coalesce.DFDiffers, begins, func(p *packettest.TCP) { p.IP.DF = true }},
	{"IPv4 ID skips", 4, coalesce.IDDiffers, begins, func(p *packettest.TCP) { p.IP.ID++ }},
	{"IPv4 ID counts down", 4, coalesce.IDDiffers, begins, func(p *packettest.TCP) { p.IP.ID -= 2 }},
	{"IPv4 length too large", 4, coalesce.LengthMismatch, passes, func(p *packettest.TCP) { p.IP.LengthDelta = 1 }},
	{"trailing bytes", 0, coalesce.LengthMismatch, passes, func(p *packettest.TCP) { p.Link.Trailing = []byte{0} }},
	{"length too small", 0, coalesce.LengthMismatch, passes, func(p *packettest.TCP) { p.IP.LengthDelta = -1 }},
	{"IPv6 payload length too large", 6, coalesce.LengthMismatch, passes, func(p *packettest.TCP) { p.IP.LengthDelta = 1 }},
	{"length shorter than the headers", 0, coalesce.Malformed, passes, func(p *packettest.TCP) { p.IP.LengthDelta = -105 }},
	{"IPv6 Routing header with Segments Left", 6, coalesce.ExtHeader, passes, func(p *packettest.TCP) { p.IP.Ext = []packettest.Ext{packettest.Routing(1)} }},
	{"IPv6 Hop-by-Hop", 6, coalesce.ExtHeadersDiffer, begins, func(p *packettest.TCP) { p.IP.Ext = []packettest.Ext{packettest.HopByHop(1)} }},
	{"IPv6 Destination Options", 6, coalesce.ExtHeadersDiffer, begins, func(p *packettest.TCP) { p.IP.Ext = []packettest.Ext{packettest.DestinationOptions(1)} }},
	{"IPv6 Routing header", 6, coalesce.ExtHeadersDiffer, begins, func(p *packettest.TCP) { p.IP.Ext = []packettest.Ext{packettest.Routing(0)} }},
}

var tcpRows = []row{
	{"TCP checksum wrong", 0, coalesce.BadChecksum, passes, func(p *packettest.TCP) { p.BadChecksum = true }},
	{"TCP checksum 0xffff", 0, coalesce.ChecksumFFFF, passes, func(p *packettest.TCP) { p.FFFF = true }},
	{"ACK number", 0, coalesce.AckDiffers, begins, func(p *packettest.TCP) { p.Ack++ }},
	{"window", 0, coalesce.WindowDiffers, begins, func(p *packettest.TCP) { p.Window++ }},
	{"urgent pointer", 0, coalesce.UrgentDiffers, begins, func(p *packettest.TCP) { p.Urgent++ }},
	{"timestamp", 0, coalesce.OptionsDiffer, begins, func(p *packettest.TCP) { p.Options = packettest.Timestamp(6, 6) }},
	{"no options", 0, coalesce.OptionsDiffer, begins, func(p *packettest.TCP) { p.Options = nil }},
	{"last option byte", 0, coalesce.OptionsDiffer, begins, func(p *packettest.TCP) { p.Options = packettest.Timestamp(5, 7) }},
	{"reserved bits", 0, coalesce.FlagsDiffer, begins, func(p *packettest.TCP) { p.Reserved = 4 }},
	{"AE", 0, coalesce.FlagsDiffer, begins, func(p *packettest.TCP) { p.AE = true }},
	{"ECE", 0, coalesce.FlagsDiffer, begins, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.ECE }},
	{"CWR", 0, coalesce.CWR, passes, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.CWR }},
	{"URG", 0, coalesce.Control, passes, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.URG }},
	{"SYN", 0, coalesce.Control, passes, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.SYN }},
	{"RST", 0, coalesce.Control, passes, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.RST }},
	{"PSH", 0, coalesce.MergedPush, ends, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.PSH }},
	{"FIN", 0, coalesce.MergedFin, ends, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.FIN }},
	{"FIN and PSH", 0, coalesce.MergedFin, ends, func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.FIN | packettest.PSH }},
	{"PSH that does not fit", 0, coalesce.AckDiffers, passes, func(p *packettest.TCP) { p.Ack++; p.Flags = packettest.ACK | packettest.PSH }},
	{"sequence gap", 0, coalesce.SequenceGap, begins, func(p *packettest.TCP) { p.Seq++ }},
	{"sequence overlap", 0, coalesce.SequenceGap, begins, func(p *packettest.TCP) { p.Seq-- }},
	{"sent again", 0, coalesce.SequenceGap, begins, func(p *packettest.TCP) { p.Seq -= uint32(len(p.Payload)) }},
	{"half a sequence space away", 0, coalesce.SequenceGap, begins, func(p *packettest.TCP) { p.Seq += 1 << 31 }},
	{"pure ACK", 0, coalesce.NoPayload, passes, func(p *packettest.TCP) { p.Payload = nil }},
	{"shorter", 0, coalesce.MergedShort, ends, func(p *packettest.TCP) { p.Payload = p.Payload[:len(p.Payload)-1] }},
	{"one byte", 0, coalesce.MergedShort, ends, func(p *packettest.TCP) { p.Payload = p.Payload[:1] }},
	{"longer", 0, coalesce.Longer, passes, func(p *packettest.TCP) { p.Payload = packettest.Stream(p.Seq, len(p.Payload)+1) }},
	{"data offset too small", 0, coalesce.Malformed, passes, func(p *packettest.TCP) { p.Offset = 4 }},
	{"data offset beyond the packet", 0, coalesce.Malformed, passes, func(p *packettest.TCP) { p.Offset, p.Payload = 15, p.Payload[:8] }},
}

// TestRows tries each row in each world, with segments of odd and even length:
// with odd ones every other payload is summed the other way round.
func TestRows(t *testing.T) {
	for _, w := range worlds {
		for _, size := range []int{100, 101} {
			for _, r := range rows {
				if r.ip == 4 && w.v6 || r.ip == 6 && !w.v6 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d/%s", w.name, size, r.name), func(t *testing.T) { testRow(t, w, size, r) })
			}
		}
	}
}

func testRow(t *testing.T, w world, size int, r row) {
	p := w.segments(3, size)
	r.change(&p[1])
	switch r.outcome {
	case begins:
		r.change(&p[2])
	case passes, ends:
		if p[2].Seq == p[1].Seq+uint32(len(p[1].Payload)) {
			break // and still it must not join
		}
		p[2].Seq = p[1].Seq + uint32(len(p[1].Payload))
	}
	wantOutcome(t, p, r.outcome, r.want)
}
