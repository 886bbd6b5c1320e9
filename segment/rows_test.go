// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"errors"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// super is a super-packet of n bytes of payload whose sequence numbers and IPv4
// IDs wrap on the way.
func super(v6 bool, n int) packettest.TCP {
	return packettest.TCP{
		IP:  packettest.IP{V6: v6, ID: 0xffff, DF: true, TOS: 2, Label: 7},
		Seq: 0xfffffff0, Ack: 9, Window: 512, Options: packettest.Timestamp(1, 2),
		Payload: packettest.Stream(0xfffffff0, n),
	}
}

// parts writes out by hand what super-packet p splits into: parts of size bytes.
// fixed: the IPv4 ID stays.
func parts(p packettest.TCP, size int, fixed bool) [][]byte {
	var out [][]byte
	p.Partial, p.BadChecksum = false, false
	first, rest := p, p.Payload
	for i := 0; ; i++ {
		q := first
		q.Seq += uint32(i * size)
		if !fixed {
			q.IP.ID += uint16(i)
		}
		if i > 0 {
			q.Flags &^= packettest.CWR
		}
		if len(rest) <= size {
			q.Payload = rest
			return append(out, q.Frame().Data)
		}
		q.Payload, rest = rest[:size], rest[size:]
		q.Flags &^= packettest.FIN | packettest.PSH
		out = append(out, q.Frame().Data)
	}
}

// rows of RULES.md's table for splitting. Where size is 0 the packet is expected
// to leave as it is.
var rows = []struct {
	name   string
	change func(p *packettest.TCP)
	o      segment.Options
	n      int // payload
	size   int // expected segment size
}{
	{"last shorter", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"last as long", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 3000, 1000},
	{"last of one byte", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 2001, 1000},
	{"odd segment size", nil, segment.Options{SegmentSize: 999, MTU: 1500}, 2500, 999},
	{"segment size 1", nil, segment.Options{SegmentSize: 1, MTU: 1500}, 40, 1},
	{"FIN and PSH last only", func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.FIN | packettest.PSH }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"CWR first only", func(p *packettest.TCP) { p.Flags = packettest.ACK | packettest.CWR }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"CWR, FIN and PSH", func(p *packettest.TCP) { p.Flags = 0x99 }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"ECE, URG, AE, reserved bits as they are", func(p *packettest.TCP) {
		p.Flags, p.Urgent, p.AE, p.Reserved = packettest.ACK|packettest.ECE|packettest.URG, 5, true, 5
	}, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"fixed IPv4 ID", nil, segment.Options{SegmentSize: 1000, MTU: 1500, FixedID: true}, 2500, 1000},
	{"no TCP options", func(p *packettest.TCP) { p.Options = nil }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"40 bytes of TCP options", func(p *packettest.TCP) { p.Options = packettest.Stream(3, 40) }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"partial checksum", func(p *packettest.TCP) { p.Partial = true }, segment.Options{SegmentSize: 1000, MTU: 1500, Partial: true}, 2500, 1000},
	{"partial, 0 bytes sum to 0", func(p *packettest.TCP) { p.Partial, p.Payload = true, make([]byte, 2500) }, segment.Options{SegmentSize: 1000, MTU: 1500, Partial: true}, 2500, 1000},
	{"IP options", func(p *packettest.TCP) { p.IP.Options = []byte{148, 4, 0, 0, 1, 1, 1, 0} }, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"extension headers", func(p *packettest.TCP) {
		p.IP.Ext = []packettest.Ext{packettest.HopByHop(1), packettest.Routing(0), packettest.DestinationOptions(2)}
	}, segment.Options{SegmentSize: 1000, MTU: 1500}, 2500, 1000},
	{"Ethernet", func(p *packettest.TCP) { p.Link.Ethernet = true }, segment.Options{SegmentSize: 1000, MTU: 1500, LinkHdrLen: 14}, 2500, 1000},
	{"VLAN", func(p *packettest.TCP) { p.Link.Ethernet, p.Link.VLAN = true, 5 }, segment.Options{SegmentSize: 1000, MTU: 1500, LinkHdrLen: 18}, 2500, 1000},
	// The law: what was merged splits, though it would fit the link.
	{"fits the MTU", nil, segment.Options{SegmentSize: 100, MTU: 1500}, 250, 100},
	{"fits the MTU, partial", func(p *packettest.TCP) { p.Partial = true }, segment.Options{SegmentSize: 100, MTU: 1500, Partial: true}, 250, 100},

	{"fits both", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 1000, 0},
	{"fits the MTU, no segment size", nil, segment.Options{MTU: 1500}, 1000, 0},
	{"pure ACK", nil, segment.Options{SegmentSize: 1000, MTU: 1500}, 0, 0},
	{"wrong checksum that need not be touched", func(p *packettest.TCP) { p.BadChecksum = true }, segment.Options{SegmentSize: 1000, MTU: 1500}, 1000, 0},
	{"partial pure ACK is finished", func(p *packettest.TCP) { p.Partial = true }, segment.Options{SegmentSize: 1000, MTU: 1500, Partial: true}, 0, 1000},
	{"partial pure ACK, MSS 0", func(p *packettest.TCP) { p.Partial = true }, segment.Options{MTU: 1500, Partial: true}, 0, 1000},
	{"partial SYN, MSS 0", func(p *packettest.TCP) { p.Partial, p.Flags = true, packettest.SYN }, segment.Options{MTU: 1500, Partial: true}, 0, 1000},
	{"partial single data packet is finished", func(p *packettest.TCP) {
		p.Partial, p.Flags = true, packettest.ACK|packettest.PSH|packettest.FIN|packettest.CWR
	}, segment.Options{SegmentSize: 1000, MTU: 1500, Partial: true}, 777, 1000},
}

func TestRows(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for _, v6 := range []bool{false, true} {
				p := super(v6, r.n)
				if r.change != nil {
					r.change(&p)
				}
				in := p.Frame().Data
				var s segment.Splitter
				got := check(t, &s, in, r.o)
				if r.size == 0 {
					if s.Segments() != 0 {
						t.Errorf("Segments: got %d, want 0", s.Segments())
					}
					equal(t, got, [][]byte{in}, r.o.LinkHdrLen)
					continue
				}
				equal(t, got, parts(p, r.size, r.o.FixedID), r.o.LinkHdrLen)
			}
		})
	}
}

// Without a usable segment size a packet is split to the MTU, which no IP packet
// exceeds.
func TestMTU(t *testing.T) {
	const hdrLen = 52 // with timestamps; 72 for IPv6
	for _, tt := range []struct {
		name      string
		size, mtu int
		want      int // segment size for IPv4
	}{
		{"MSS 0", 0, 1500, 1448},
		{"MSS negative", -1, 1500, 1448},
		{"MSS as large as fits", 1448, 1500, 1448},
		{"MSS larger by one than fits", 1449, 1500, 1448},
		{"MSS larger than any packet", 1 << 20, 1500, 1448},
		{"MTU shrunk", 1448, 576, 524},
		{"MTU with room for one byte", 1448, hdrLen + 21, 21},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v6 := range []bool{false, true} {
				for _, partial := range []bool{false, true} {
					for _, link := range []packettest.Link{{}, {Ethernet: true}} {
						p := super(v6, 5000)
						p.Partial, p.Link = partial, link
						o := segment.Options{SegmentSize: tt.size, MTU: tt.mtu, Partial: partial}
						if link.Ethernet {
							o.LinkHdrLen = 14 // which the MTU does not count
						}
						want := tt.want
						if v6 && want+hdrLen+20 > tt.mtu {
							want -= 20
						}
						var s segment.Splitter
						got := check(t, &s, p.Frame().Data, o)
						equal(t, got, parts(p, want, false), o.LinkHdrLen)
					}
				}
			}
		})
	}
}

// The largest packets: 65535 bytes for IPv4, 40 more for IPv6.
func TestLargest(t *testing.T) {
	for v6, n := range map[bool]int{false: 65535 - 52, true: 65535 + 40 - 72} {
		p := super(v6, n)
		var s segment.Splitter
		got := check(t, &s, p.Bytes(), segment.Options{SegmentSize: 1448, MTU: 1520})
		equal(t, got, parts(p, 1448, false), 0)
	}
}

func TestErrors(t *testing.T) {
	v4, v6 := super(false, 3000), super(true, 3000)
	with := func(p packettest.TCP, f func(p *packettest.TCP)) []byte { f(&p); return p.Frame().Data }
	for _, tt := range []struct {
		name string
		pkt  []byte
		o    segment.Options
		want error
	}{
		{"UDP", packettest.UDP{Payload: make([]byte, 3000)}.Bytes(), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"UDP over IPv6", packettest.UDP{IP: packettest.IP{V6: true}, Payload: make([]byte, 3000)}.Bytes(), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"ICMP", packettest.ICMP{Payload: make([]byte, 3000)}.Bytes(), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"neither IPv4 nor IPv6", make([]byte, 3000), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"first fragment", with(v4, func(p *packettest.TCP) { p.IP.MF = true }), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"last fragment", with(v4, func(p *packettest.TCP) { p.IP.FragmentOffset = 1 }), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"IPv6 fragment", with(v6, func(p *packettest.TCP) { p.IP.Ext = []packettest.Ext{packettest.Fragment(0, true, 1)} }), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},
		{"IPv6 Routing header with Segments Left", with(v6, func(p *packettest.TCP) { p.IP.Ext = []packettest.Ext{packettest.Routing(1)} }), segment.Options{MTU: 1500}, segment.ErrNotSegmentable},

		{"trailing bytes", with(v4, func(p *packettest.TCP) { p.Link.Trailing = []byte{0} }), segment.Options{MTU: 1500}, segment.ErrMalformed},
		{"IPv4 length too small", with(v4, func(p *packettest.TCP) { p.IP.LengthDelta = -1 }), segment.Options{MTU: 1500}, segment.ErrMalformed},
		{"IPv6 length too large", with(v6, func(p *packettest.TCP) { p.IP.LengthDelta = 1 }), segment.Options{MTU: 1500}, segment.ErrMalformed},
		{"IPv4 header length 0", append([]byte{0x40}, v4.Bytes()[1:]...), segment.Options{MTU: 1500}, segment.ErrMalformed},
		{"data offset too small", with(v4, func(p *packettest.TCP) { p.Offset = 4 }), segment.Options{MTU: 1500}, segment.ErrMalformed},
		{"data offset too large", with(v4, func(p *packettest.TCP) { p.Offset, p.Payload, p.Partial = 15, nil, true }), segment.Options{MTU: 1500, Partial: true}, segment.ErrMalformed},
		{"nothing behind the link header", make([]byte, 14), segment.Options{LinkHdrLen: 14, Partial: true}, segment.ErrMalformed},
		{"shorter than the link header", make([]byte, 10), segment.Options{LinkHdrLen: 14, Partial: true}, segment.ErrMalformed},
		{"negative link header", v4.Bytes(), segment.Options{LinkHdrLen: -1, MTU: 1500}, segment.ErrMalformed},
		{"partial that nobody can finish", packettest.ICMP{}.Bytes(), segment.Options{MTU: 1500, Partial: true}, segment.ErrMalformed},

		{"MTU without room", v4.Bytes(), segment.Options{SegmentSize: 1448, MTU: 52}, segment.ErrMTU},
		{"MTU with room for a byte", v4.Bytes(), segment.Options{SegmentSize: 1448, MTU: 53}, nil},
		{"MTU without room, IPv6", v6.Bytes(), segment.Options{SegmentSize: 1448, MTU: 72}, segment.ErrMTU},
		{"MTU smaller than the headers", v4.Bytes(), segment.Options{SegmentSize: 1448, MTU: 20}, segment.ErrMTU},
		{"MTU 0", v4.Bytes(), segment.Options{SegmentSize: 1448}, segment.ErrMTU},
		{"MTU smaller than a pure ACK", super(false, 0).Bytes(), segment.Options{MTU: 51}, segment.ErrMTU},
		{"MTU of a pure ACK", with(super(false, 0), func(p *packettest.TCP) { p.Partial = true }), segment.Options{MTU: 52, Partial: true}, nil},
		{"neither TCP nor UDP, but fits", packettest.ICMP{Payload: make([]byte, 1000)}.Bytes(), segment.Options{SegmentSize: 100, MTU: 1500}, nil},
		{"malformed, but fits", make([]byte, 10), segment.Options{SegmentSize: 100, MTU: 1500}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s segment.Splitter
			if err := s.Init(tt.pkt, len(tt.pkt), tt.o); !errors.Is(err, tt.want) {
				t.Errorf("Init: got %v, want %v", err, tt.want)
			}
			check(t, &s, tt.pkt, tt.o)
		})
	}
}

// Truncated headers are errors, wherever they end.
func TestHeadTooShort(t *testing.T) {
	p := super(true, 3000)
	p.IP.Ext = []packettest.Ext{packettest.HopByHop(1), packettest.DestinationOptions(2)}
	for _, pkt := range [][]byte{super(false, 3000).Bytes(), p.Bytes()} {
		var s segment.Splitter
		hdrLen := len(pkt) - 3000
		for n := range hdrLen {
			if err := s.Init(pkt[:n:n], len(pkt), segment.Options{MTU: 1500}); err != segment.ErrMalformed {
				t.Errorf("head of %d bytes: got %v, want %v", n, err, segment.ErrMalformed)
			}
		}
		if err := s.Init(pkt[:hdrLen:hdrLen], len(pkt), segment.Options{MTU: 1500}); err != nil {
			t.Errorf("head of %d bytes: %v", hdrLen, err)
		}
	}
}

func TestOffsets(t *testing.T) {
	p := super(true, 3000)
	p.Link.Ethernet = true
	p.IP.Ext = []packettest.Ext{packettest.HopByHop(1)}
	pkt := p.Frame().Data
	var s segment.Splitter
	if err := s.Init(pkt, len(pkt), segment.Options{MTU: 1500, LinkHdrLen: 14}); err != nil {
		t.Fatal(err)
	}
	if s.NetworkOffset() != 14 || s.TransportOffset() != 62 || s.HeaderLen() != 94 || s.PayloadLen() != 3000 || s.Segments() != 3 {
		t.Errorf("got IP at %d, TCP at %d, payload at %d of %d bytes, %d segments", s.NetworkOffset(), s.TransportOffset(), s.HeaderLen(), s.PayloadLen(), s.Segments())
	}
}

// A packet that came with a wrong checksum must not leave with right ones.
func TestChecksumOK(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, n := range []int{3000, 3001} {
			for _, bad := range []bool{false, true} {
				for _, partial := range []bool{false, true} {
					p := super(v6, n)
					p.BadChecksum, p.Partial = bad, partial
					pkt := p.Bytes()
					var s segment.Splitter
					if err := s.Init(pkt, len(pkt), segment.Options{MTU: 1500, Partial: partial}); err != nil {
						t.Fatal(err)
					}
					if got, want := s.ChecksumOK(checksum.Checksum(p.Payload, 0)), partial || !bad; got != want {
						t.Errorf("v6=%v, %d bytes, bad=%v, partial=%v: got %v", v6, n, bad, partial, got)
					}
				}
			}
		}
	}
}

// Init leaves the packet as it was, and nothing of it for the next one.
func TestReuse(t *testing.T) {
	var s segment.Splitter
	big, small := super(true, 5000), packettest.UDP{}.Bytes()
	pkt := big.Bytes()
	check(t, &s, pkt, segment.Options{SegmentSize: 1000, MTU: 1500})
	if d := packettest.DiffIP(pkt, big.Bytes()); d != "" {
		t.Errorf("the packet was changed: %s", d)
	}
	if err := s.Init(small, len(small), segment.Options{MTU: 1500}); err != nil || s.Segments() != 0 {
		t.Errorf("after another packet: %v, %d segments", err, s.Segments())
	}
}
