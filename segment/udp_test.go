// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// superUDP is a super-packet of n bytes of payload whose IPv4 IDs wrap on the way.
func superUDP(v6 bool, n int) packettest.UDP {
	return packettest.UDP{IP: packettest.IP{V6: v6, ID: 0xffff, DF: true, TOS: 2, Label: 7}, Payload: packettest.Stream(5, n)}
}

// datagrams writes out by hand what super-packet p splits into: datagrams of size
// bytes. fixed: the IPv4 ID stays.
func datagrams(p packettest.UDP, size int, fixed bool) [][]byte {
	var out [][]byte
	p.NoChecksum = p.NoChecksum && !p.Partial
	p.Partial, p.BadChecksum, p.FFFF = false, false, false
	for i := 0; ; i++ {
		q := p
		if !fixed {
			q.IP.ID += uint16(i)
		}
		q.Payload = p.Payload[i*size:]
		if len(q.Payload) <= size {
			return append(out, q.Frame().Data)
		}
		q.Payload = q.Payload[:size]
		out = append(out, q.Frame().Data)
	}
}

// udpRows are RULES.md about splitting UDP. Where size is 0 the packet is expected
// to leave as it is.
var udpRows = []struct {
	name   string
	change func(p *packettest.UDP)
	o      segment.Options
	n      int // payload
	size   int // expected segment size
}{
	{"last shorter", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"last as long", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 3000, 1000},
	{"last of one byte", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 2001, 1000},
	{"odd segment size", nil, segment.Options{SegmentSize: 999, MTU: 1500}, 2500, 999},
	{"segment size 1", nil, segment.Options{SegmentSize: 1, MTU: 1500}, 300, 1},
	{"segment size as large as fits", nil, segment.Options{SegmentSize: 1452, MTU: 1500}, 5000, 1452},
	{"fixed IPv4 ID", nil, segment.Options{SegmentSize: 1000, MTU: 1500, FixedID: true}, 2500, 1000},
	{"ports", func(p *packettest.UDP) { p.SrcPort, p.DstPort = 53, 65535 }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"checksum 0xffff", func(p *packettest.UDP) { p.FFFF = true }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"no checksum", func(p *packettest.UDP) { p.NoChecksum = true }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"partial checksum", func(p *packettest.UDP) { p.Partial = true }, segment.Options{SegmentSize: 1000, MTU: 1500, Partial: true}, 2500, 1000},
	{"partial, whatever the field holds", func(p *packettest.UDP) { p.Partial, p.NoChecksum = true, true }, segment.Options{SegmentSize: 1000, MTU: 1500, Partial: true}, 2500, 1000},
	{"IP options", func(p *packettest.UDP) { p.IP.Options = []byte{148, 4, 0, 0, 1, 1, 1, 0} }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"extension headers", func(p *packettest.UDP) {
		p.IP.Ext = []packettest.Ext{packettest.HopByHop(1), packettest.Routing(0), packettest.DestinationOptions(2)}
	}, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"Ethernet", func(p *packettest.UDP) { p.Link.Ethernet = true }, segment.Options{SegmentSize: 1000, MTU: 1500, LinkHdrLen: 14}, 2500, 1000},
	{"VLAN", func(p *packettest.UDP) { p.Link.Ethernet, p.Link.VLAN = true, 5 }, segment.Options{SegmentSize: 1000, MTU: 1500, LinkHdrLen: 18}, 2500, 1000},
	// The law: what was merged splits, though it would fit the link.
	{"fits the MTU", nil, segment.Options{SegmentSize: 100, MTU: 1500}, 250, 100},
	{"fits the MTU, partial", func(p *packettest.UDP) { p.Partial = true }, segment.Options{SegmentSize: 100, MTU: 1500, Partial: true}, 250, 100},

	{"fits both", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 1000, 0},
	{"fits the MTU, no segment size", nil, segment.Options{MTU: 1500}, 1000, 0},
	{"fits the MTU, segment size does not", nil, segment.Options{SegmentSize: 9000, MTU: 1500}, 1452, 0},
	{"empty", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 0, 0},
	{"wrong length that nobody looks at", func(p *packettest.UDP) { p.LengthDelta = 1 }, segment.Options{SegmentSize: 1000, MTU: 1500}, 1000, 0},
	{"partial single datagram is finished", func(p *packettest.UDP) { p.Partial = true }, segment.Options{MTU: 1500, Partial: true}, 777, 1000},
	{"partial, segment size beyond the MTU", func(p *packettest.UDP) { p.Partial = true }, segment.Options{SegmentSize: 9000, MTU: 1500, Partial: true}, 777, 1000},
	{"partial and empty", func(p *packettest.UDP) { p.Partial = true }, segment.Options{MTU: 48, Partial: true}, 0, 1000},
}

func TestRowsUDP(t *testing.T) {
	for _, r := range udpRows {
		t.Run(r.name, func(t *testing.T) {
			for _, v6 := range []bool{false, true} {
				p := superUDP(v6, r.n)
				if r.change != nil {
					r.change(&p)
				}
				in := p.Frame().Data
				p.Payload = in[len(in)-r.n:] // FFFF chose some
				var s segment.Splitter
				got := check(t, &s, in, r.o)
				if r.size == 0 {
					if s.Segments() != 0 {
						t.Errorf("Segments: got %d, want 0", s.Segments())
					}
					equal(t, got, [][]byte{in}, r.o.LinkHdrLen)
					continue
				}
				if s.Transport() != 17 {
					t.Errorf("Transport: got %d", s.Transport())
				}
				equal(t, got, datagrams(p, r.size, r.o.FixedID), r.o.LinkHdrLen)
			}
		})
	}
}

// A checksum that computes to 0 is sent as 0xffff, in each place.
func TestChecksumZeroUDP(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, partial := range []bool{false, true} {
			for _, size := range []int{100, 101} {
				p := superUDP(v6, 0)
				p.Partial = partial
				var want [][]byte
				for i := range 3 {
					q := superUDP(v6, 0)
					q.IP.ID += uint16(i)
					q.Payload, q.FFFF = packettest.Stream(uint32(i), size-i/2*60), true // the last is shorter
					b := q.Bytes()
					want = append(want, b)
					p.Payload = append(p.Payload, b[len(b)-len(q.Payload):]...)
				}
				var s segment.Splitter
				got := check(t, &s, p.Bytes(), segment.Options{SegmentSize: size, MTU: 1500, Partial: partial})
				equal(t, got, want, 0)
				for _, b := range got {
					if at := s.TransportOffset() + 6; b[at] != 0xff || b[at+1] != 0xff {
						t.Errorf("checksum %x", b[at:at+2])
					}
				}
			}
		}
	}
}

// The largest packets: 65535 bytes for IPv4, 40 more for IPv6.
func TestLargestUDP(t *testing.T) {
	for v6, n := range map[bool]int{false: 65535 - 28, true: 65535 - 8} {
		var s segment.Splitter
		p := superUDP(v6, n)
		equal(t, check(t, &s, p.Bytes(), segment.Options{SegmentSize: 1448, MTU: 1500}), datagrams(p, 1448, false), 0)
		equal(t, check(t, &s, p.Bytes(), segment.Options{SegmentSize: 1, MTU: 1500}), datagrams(p, 1, false), 0)
	}
}

func TestErrorsUDP(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *packettest.UDP)
		o      segment.Options
		want   error
	}{
		{"one large datagram", nil, segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"one large datagram, partial", func(p *packettest.UDP) { p.Partial = true }, segment.Options{MTU: 1500, Partial: true}, segment.ErrNotSegmentable},
		{"segment size negative", nil, segment.Options{SegmentSize: -1, MTU: 1500}, segment.ErrNotSegmentable},
		{"no segment size and no room", nil, segment.Options{MTU: 20}, segment.ErrNotSegmentable},
		{"larger by one than fits", func(p *packettest.UDP) { p.Payload = make([]byte, 1473) }, segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"segment size beyond the MTU", nil, segment.Options{SegmentSize: 1473, MTU: 1500}, segment.ErrMTU},
		{"segment size beyond the packet", nil, segment.Options{SegmentSize: 60000, MTU: 1500}, segment.ErrMTU},
		{"MTU without room", nil, segment.Options{SegmentSize: 1, MTU: 28}, segment.ErrMTU},
		{"MTU with room for a byte", nil, segment.Options{SegmentSize: 1, MTU: 49}, nil},
		{"MTU smaller than the headers", func(p *packettest.UDP) { p.Partial, p.Payload = true, nil }, segment.Options{SegmentSize: 100, MTU: 27, Partial: true}, segment.ErrMTU},
		{"fragment", func(p *packettest.UDP) {
			p.IP.MF, p.IP.Ext = true, []packettest.Ext{packettest.Fragment(0, true, 1)}
		}, segment.Options{SegmentSize: 1000, MTU: 1500}, segment.ErrNotSegmentable},
		{"UDP length too large", func(p *packettest.UDP) { p.LengthDelta = 1 }, segment.Options{SegmentSize: 1000, MTU: 1500}, segment.ErrMalformed},
		{"UDP length too small", func(p *packettest.UDP) { p.LengthDelta = -1 }, segment.Options{SegmentSize: 1000, MTU: 1500}, segment.ErrMalformed},
		{"UDP length too small, partial", func(p *packettest.UDP) { p.LengthDelta, p.Partial, p.Payload = -1, true, p.Payload[:9] }, segment.Options{MTU: 1500, Partial: true}, segment.ErrMalformed},
		{"IP length too large", func(p *packettest.UDP) { p.IP.LengthDelta = 1 }, segment.Options{SegmentSize: 1000, MTU: 1500}, segment.ErrMalformed},
		{"both lengths too large", func(p *packettest.UDP) { p.LengthDelta, p.IP.LengthDelta = 1, 1 }, segment.Options{SegmentSize: 1000, MTU: 1500}, segment.ErrMalformed},
		{"trailing bytes", func(p *packettest.UDP) { p.Link.Trailing = []byte{0} }, segment.Options{SegmentSize: 1000, MTU: 1500}, segment.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v6 := range []bool{false, true} {
				p := superUDP(v6, 3000)
				if tt.change != nil {
					tt.change(&p)
				}
				var s segment.Splitter
				in := p.Frame().Data
				if err := s.Init(in, len(in), tt.o); err != tt.want {
					t.Errorf("v6=%v: Init: got %v, want %v", v6, err, tt.want)
				}
				check(t, &s, in, tt.o)
			}
		})
	}
}

// Truncated headers are errors, wherever they end: also those of a packet that
// contradicts itself about there being any.
func TestHeadTooShortUDP(t *testing.T) {
	p := superUDP(true, 3000)
	p.IP.Ext = []packettest.Ext{packettest.HopByHop(1)}
	for _, pkt := range [][]byte{superUDP(false, 3000).Bytes(), p.Bytes()} {
		var s segment.Splitter
		hdrLen := len(pkt) - 3000
		for n := range hdrLen {
			if err := s.Init(pkt[:n:n], len(pkt), segment.Options{SegmentSize: 100, MTU: 1500}); err != segment.ErrMalformed {
				t.Errorf("head of %d bytes: got %v, want %v", n, err, segment.ErrMalformed)
			}
		}
		if err := s.Init(pkt[:hdrLen:hdrLen], len(pkt), segment.Options{SegmentSize: 100, MTU: 1500}); err != nil {
			t.Errorf("head of %d bytes: %v", hdrLen, err)
		}
	}
	small := packettest.UDP{LengthDelta: -3, IP: packettest.IP{LengthDelta: -3}, Partial: true}.Bytes()
	var s segment.Splitter
	o := segment.Options{MTU: 1500, Partial: true}
	for _, head := range [][]byte{small, small[:25]} { // of 25 bytes by its own account
		if err := s.Init(head, 25, o); err != segment.ErrMalformed {
			t.Errorf("head of %d bytes: got %v, want %v", len(head), err, segment.ErrMalformed)
		}
	}
}

// A datagram that came with a wrong checksum must not leave with right ones, and
// one that came with none must leave without.
func TestChecksumOKUDP(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, n := range []int{3000, 3001} {
			for _, tt := range []struct {
				name   string
				change func(p *packettest.UDP)
				want   bool
			}{
				{"right", func(p *packettest.UDP) {}, true},
				{"0xffff", func(p *packettest.UDP) { p.FFFF = true }, true},
				{"wrong", func(p *packettest.UDP) { p.BadChecksum = true }, false},
				{"none", func(p *packettest.UDP) { p.NoChecksum = true }, true},
				{"partial", func(p *packettest.UDP) { p.Partial = true }, true},
			} {
				p := superUDP(v6, n)
				tt.change(&p)
				pkt := p.Bytes()
				var s segment.Splitter
				if err := s.Init(pkt, len(pkt), segment.Options{SegmentSize: 1000, MTU: 1500, Partial: p.Partial}); err != nil {
					t.Fatal(err)
				}
				payload := pkt[s.HeaderLen():]
				if got := s.ChecksumOK(checksum.Checksum(payload, 0)); got != tt.want {
					t.Errorf("v6=%v, %d bytes, %s: got %v", v6, n, tt.name, got)
				}
				payload[0]++ // of what has no checksum nobody can tell
				if got, want := s.ChecksumOK(checksum.Checksum(payload, 0)), p.NoChecksum || p.Partial; got != want {
					t.Errorf("v6=%v, %d bytes, %s, spoilt: got %v", v6, n, tt.name, got)
				}
			}
		}
	}
}

// A UDP packet after a TCP packet, and the other way round.
func TestReuseUDP(t *testing.T) {
	var s segment.Splitter
	o := segment.Options{SegmentSize: 1000, MTU: 1500}
	tcp, udp := super(true, 3000), superUDP(false, 3000)
	for range 2 {
		equal(t, check(t, &s, tcp.Bytes(), o), parts(tcp, 1000, false), 0)
		equal(t, check(t, &s, udp.Bytes(), o), datagrams(udp, 1000, false), 0)
	}
}
