// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

import "net/netip"

// Arrival is one packet of a Burst.
type Arrival struct {
	Frame
	// HeadLen is how much of Data is contiguous from its beginning, all
	// headers of a well-formed packet included; TailLen is the length of the
	// pieces that follow. TailLen 0 means that all is contiguous.
	HeadLen, TailLen int
	Vouched, Exclude bool
	// Pop says that the oldest run has to leave before.
	Pop bool
}

// Pieces cuts Data as HeadLen and TailLen say.
func (a Arrival) Pieces() (head []byte, tail [][]byte) {
	if a.TailLen == 0 || a.HeadLen >= len(a.Data) {
		return a.Data, nil
	}
	for rest := a.Data[a.HeadLen:]; len(rest) > 0; {
		n := min(a.TailLen, len(rest))
		tail = append(tail, rest[:n:n], nil) // an empty piece does no harm
		rest = rest[n:]
	}
	return a.Data[:a.HeadLen:a.HeadLen], tail
}

// Burst is a batch of packets spelt by a few bytes, for fuzzing: most continue
// their flow and could merge, some differ in one field from what would.
type Burst struct {
	Arrivals []Arrival
	// MaxPackets is a bound for who collects them; 0 means none.
	MaxPackets int
	// Refuse: flows to destinations whose last byte is this end elsewhere.
	Refuse byte
	// UDP says that datagrams may merge. Without it there may be some too.
	UDP bool
}

// MaxBurst is the largest number of packets in a Burst.
const MaxBurst = 256

// maxBurstBytes keeps bursts of large packets quick.
const maxBurstBytes = 400_000

var segmentSizes = [...]int{1448, 1, 2, 3, 16, 101, 536, 1447, 9000, 13091, 21818, 32747, 40000, 65495, 5, 100}

// ParseBurst reads a burst: 4 bytes of settings, then 3 bytes a packet: flow,
// mutation, argument. With the top bit of the first byte set, the rest is raw:
// one byte of length before the bytes of each frame.
func ParseBurst(b []byte) Burst {
	if len(b) < 4 {
		return Burst{}
	}
	s, b := b[:4], b[4:]
	out := Burst{Refuse: s[3], UDP: s[0]&flowUDP != 0 && s[1]&0x20 == 0}
	if s[2] < 128 {
		out.MaxPackets = int(s[2]) % 20
	}
	if s[0]&0x80 != 0 {
		out.Arrivals = rawArrivals(s, b)
		return out
	}
	flows := burstFlows(s)
	for size := 0; len(b) >= 3 && len(out.Arrivals) < MaxBurst && size < maxBurstBytes; b = b[3:] {
		a := flows[b[0]&3].next(b[0], b[1], b[2])
		out.Arrivals = append(out.Arrivals, a)
		size += len(a.Data)
	}
	return out
}

func rawArrivals(s, b []byte) (out []Arrival) {
	for len(b) > 0 && len(out) < MaxBurst {
		n := min(int(b[0]), len(b)-1)
		f := Frame{Data: b[1 : 1+n], Protocol: []uint16{ProtocolIPv4, ProtocolIPv6, ProtocolVLAN, 0x0806}[s[0]&3]}
		// A tagged frame has an Ethernet header, which ends where the tag's
		// control information begins.
		if s[0]&4 != 0 || f.Protocol == ProtocolVLAN {
			f.LinkHdrLen = 14
		}
		out = append(out, Arrival{Frame: f, Vouched: s[0]&8 != 0})
		b = b[1+n:]
	}
	return out
}

// burstFlow is a flow that sends. Of one of UDP, tcp has what segments and
// datagrams have in common: all up to the ports, the payload, and what is wrong
// with the checksum.
type burstFlow struct {
	tcp     TCP
	udp     bool
	size    int
	fixedID bool
	zeros   bool // the payload is all zeros
}

// flowUDP is the bit of newBurstFlow's first byte that makes a flow one of UDP.
const flowUDP = 0x40

// newBurstFlow returns the flow that two bytes of settings spell: what its packets
// are like, and their size and whether IPv4 IDs stay (0x10).
func newBurstFlow(how, size byte) *burstFlow {
	f := &burstFlow{udp: how&flowUDP != 0, fixedID: size&0x10 != 0, size: segmentSizes[size%16]}
	f.tcp = TCP{Seq: 0xffffff00, Ack: 1, Window: 512, IP: IP{V6: how&1 != 0}}
	t := &f.tcp
	if how&2 != 0 {
		t.Link.Ethernet = true
	}
	if how&4 != 0 {
		t.Link.Ethernet, t.Link.VLAN = true, 5
	}
	if how&8 != 0 {
		t.Options = Timestamp(1, 2)
	}
	if how&16 != 0 && t.IP.V6 {
		t.IP.Ext = []Ext{HopByHop(0), DestinationOptions(0), Routing(0)}
	}
	t.IP.DF = how&32 != 0
	t.IP.ID = 0xfffc
	if f.size > 20000 && t.IP.V6 {
		f.size -= 32 // so that the limit is met with all headers
	}
	return f
}

// burstFlows are four flows: the second differs from the first in a port, the
// third in the destination, the fourth in what identity has besides. Of those of
// UDP the first and third are of TCP all the same, unless s[1]&0x40 is set.
func burstFlows(s []byte) []*burstFlow {
	var flows []*burstFlow
	for i := range byte(4) {
		how := s[0]
		if i%2 == 0 && s[1]&0x40 == 0 {
			how &^= flowUDP
		}
		flows = append(flows, newBurstFlow(how, s[1]))
	}
	other, third, fourth := &flows[1].tcp, &flows[2].tcp, &flows[3].tcp
	other.SrcPort = 40001
	third.IP.Dst = netip.AddrFrom4([4]byte{10, 0, 0, 3})
	if third.IP.V6 {
		third.IP.Dst = netip.AddrFrom16([16]byte{0xfd, 15: 3})
		fourth.IP.Label = 7
	}
	fourth.Link.Src = [6]byte{2, 0, 0, 0, 0, 9}
	if !fourth.Link.Ethernet && !fourth.IP.V6 {
		fourth.DstPort = 80
	}
	return flows
}

// sending is what a flow is about to send.
type sending struct {
	TCP
	udp bool
}

// datagram is s as a flow of UDP sends it.
func (s *sending) datagram() UDP {
	return UDP{
		Link: s.Link, IP: s.IP, SrcPort: s.SrcPort, DstPort: s.DstPort, Payload: s.Payload,
		BadChecksum: s.BadChecksum, FFFF: s.FFFF,
	}
}

// headerLen is the length of the IP and the transport header.
func (s *sending) headerLen() int {
	if s.udp {
		return s.IP.headerLen() + 8
	}
	return headerLen(&s.TCP)
}

// next is the flow's next packet. Of the three bytes, flags is 0x80 to make the
// mutation one of the flow and not of the packet only, 0x40 to pop a run before
// it, 0x20 to cut it into pieces; 0x10 says that the link vouches, 0x08 that it
// if both 0x04 agrees.
func (f *burstFlow) next(flags, mutation, arg byte) Arrival {
	t := sending{f.tcp, f.udp}
	t.Payload = Stream(t.Seq, f.size)
	if f.zeros {
		clear(t.Payload)
	}
	change := mutations[0]
	if mutation >= 128 {
		change = mutations[int(mutation-128)%len(mutations)]
	}
	a := Arrival{Pop: flags&0x40 != 0, Vouched: flags&0x10 != 0, Exclude: flags&0x0c == 0x0c}
	if change.tcp != nil {
		change.tcp(&t.TCP, arg)
	}
	if a.Frame = t.Frame(); f.udp {
		u := t.datagram()
		if change.udp != nil {
			change.udp(&u, arg)
		}
		a.Frame = u.Frame()
	}
	switch {
	case change.frame != nil:
		change.frame(&a, &t, arg)
	case flags&0x20 != 0 && t.Offset == 0:
		a.TailLen = 1 + int(arg)*7
		a.HeadLen = a.NetOffset() + t.headerLen() + int(arg)%3*3
	}
	f.advance(&t.TCP, flags&0x80 != 0)
	return a
}

// advance takes over what t sent, and with keep what was changed in it.
func (f *burstFlow) advance(t *TCP, keep bool) {
	if keep {
		p := *t
		p.Flags &^= FIN | PSH | SYN | RST
		p.BadChecksum, p.FFFF, p.IP.FFFF, p.Offset, p.IP.LengthDelta = false, false, false, 0, 0
		p.IP.BadChecksum, p.IP.MF, p.IP.FragmentOffset = false, false, 0
		p.Link.Pad, p.Link.Trailing, p.Payload = 0, nil, nil
		if t.IP.fragment() {
			p.IP.Ext = f.tcp.IP.Ext
		}
		f.tcp = p
		f.size = max(1, len(t.Payload))
	}
	f.tcp.Seq += uint32(len(t.Payload))
	if !f.fixedID {
		f.tcp.IP.ID++
	}
}

// headerLen is the length of the IP and the TCP header.
func headerLen(t *TCP) int { return t.IP.headerLen() + 20 + len(t.Options) }
