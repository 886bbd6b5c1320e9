// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

// mutation is one thing in which a packet of a Burst may differ: from what its
// sender wrote (tcp, or udp where only datagrams have it), or from what was built
// (frame).
type mutation struct {
	tcp   func(t *TCP, arg byte)
	udp   func(u *UDP, arg byte)
	frame func(a *Arrival, t *sending, arg byte)
}

func ofTCP(f func(t *TCP, arg byte)) mutation { return mutation{tcp: f} }

func ofUDP(f func(u *UDP, arg byte)) mutation { return mutation{udp: f} }

func ofFrame(f func(a *Arrival, t *sending, arg byte)) mutation { return mutation{frame: f} }

// instead sends another packet in place of the flow's.
func instead(f func(t *sending, arg byte) Frame) mutation {
	return ofFrame(func(a *Arrival, t *sending, arg byte) {
		a.Frame = f(t, arg)
		t.Payload = nil
	})
}

// mutations has a case for each row of RULES.md. New ones go to the end: their
// place is their spelling in the fuzz corpus.
var mutations = []mutation{
	{}, // none
	// Payload and ends of a run.
	ofTCP(func(t *TCP, arg byte) { t.Payload = t.Payload[:len(t.Payload)*int(arg)/256] }),
	ofTCP(func(t *TCP, arg byte) { t.Payload = Stream(t.Seq, min(len(t.Payload)+1+int(arg), 65400)) }),
	ofTCP(func(t *TCP, arg byte) { t.Payload = t.Payload[:max(1, len(t.Payload)-1)] }),
	ofTCP(func(t *TCP, arg byte) { t.Payload = nil }),
	ofTCP(func(t *TCP, arg byte) { t.Payload = Stream(t.Seq, 1) }),
	ofTCP(func(t *TCP, arg byte) { t.Payload = Stream(t.Seq, segmentSizes[arg%16]) }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | PSH }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | FIN }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | PSH | FIN }),
	// Flags.
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | SYN }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | RST }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | URG; t.Urgent = 1 }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | CWR }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = ACK | ECE }),
	ofTCP(func(t *TCP, arg byte) { t.Flags = arg }),
	ofTCP(func(t *TCP, arg byte) { t.AE = !t.AE }),
	ofTCP(func(t *TCP, arg byte) { t.Reserved ^= 1 + arg%7 }),
	// Other fields of TCP.
	ofTCP(func(t *TCP, arg byte) { t.Ack += 1 + uint32(arg) }),
	ofTCP(func(t *TCP, arg byte) { t.Window += 1 + uint16(arg) }),
	ofTCP(func(t *TCP, arg byte) { t.Urgent += 1 + uint16(arg) }),
	ofTCP(func(t *TCP, arg byte) { t.Options = Timestamp(uint32(arg), 2) }),
	ofTCP(func(t *TCP, arg byte) { t.Options = make([]byte, arg%11*4) }),
	ofTCP(func(t *TCP, arg byte) { t.Seq += 1 + uint32(arg) }),
	ofTCP(func(t *TCP, arg byte) { t.Seq -= uint32(len(t.Payload)) }),
	ofTCP(func(t *TCP, arg byte) { t.BadChecksum = true }),
	ofTCP(func(t *TCP, arg byte) { t.FFFF = len(t.Payload) >= 2; t.BadChecksum = !t.FFFF }),
	ofTCP(func(t *TCP, arg byte) { t.Offset = 1 + arg%15 }),
	// IP.
	ofTCP(func(t *TCP, arg byte) { t.IP.TTL = 65 + arg%2 }),
	ofTCP(func(t *TCP, arg byte) { t.IP.TOS ^= 1 + arg%255 }),
	ofTCP(func(t *TCP, arg byte) { t.IP.DF = !t.IP.DF }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Reserved = true }),
	ofTCP(func(t *TCP, arg byte) { t.IP.ID += uint16(arg) }),
	ofTCP(func(t *TCP, arg byte) { t.IP.ID-- }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Options = make([]byte, 4*(1+arg%10)) }),
	ofTCP(func(t *TCP, arg byte) { t.IP.BadChecksum = true }),
	ofTCP(func(t *TCP, arg byte) { t.IP.FFFF = true }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Label = uint32(arg) }),
	ofTCP(func(t *TCP, arg byte) { t.IP.LengthDelta = int(int8(arg)) }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Ext = []Ext{HopByHop(arg)} }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Ext = []Ext{DestinationOptions(arg), Routing(arg & 1)} }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Ext = []Ext{Routing(1)} }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Ext = []Ext{Experiment(arg)} }),
	// Fragments: first, later, IPv6's atomic one, of a hidden protocol.
	ofTCP(func(t *TCP, arg byte) { t.fragment(0, true) }),
	ofTCP(func(t *TCP, arg byte) { t.fragment(uint16(arg)+1, arg&1 != 0) }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Ext = []Ext{Fragment(0, false, 1)} }),
	ofTCP(func(t *TCP, arg byte) { t.IP.Ext = []Ext{HopByHop(0), Fragment(0, true, 1), DestinationOptions(0)} }),
	// Link.
	ofTCP(func(t *TCP, arg byte) { t.Link.Pad = 60 }),
	ofTCP(func(t *TCP, arg byte) { t.Payload, t.Link.Pad = Stream(t.Seq, 1), 60+int(arg&1) }),
	ofTCP(func(t *TCP, arg byte) { t.Link.Trailing = make([]byte, 1+arg%20) }),
	ofTCP(func(t *TCP, arg byte) { t.Link.Src = [6]byte{2, 1, 1, 1, 1, arg} }),
	ofTCP(func(t *TCP, arg byte) {
		if t.Link.Ethernet {
			t.Link.VLAN = uint16(arg & 7)
		}
	}),
	// Other protocols, other packets.
	instead(func(t *sending, arg byte) Frame { return UDP{Link: t.Link, IP: t.IP, Payload: t.Payload}.Frame() }),
	instead(func(t *sending, arg byte) Frame {
		ip := t.IP
		ip.MF, ip.Ext = true, []Ext{Fragment(0, true, 1)}
		return UDP{Link: t.Link, IP: ip, Payload: t.Payload}.Frame()
	}),
	instead(func(t *sending, arg byte) Frame { return ICMP{Link: t.Link, IP: t.IP, Payload: t.Payload}.Frame() }),
	instead(func(t *sending, arg byte) Frame {
		ip := t.IP
		ip.MF, ip.Ext = true, []Ext{Fragment(0, true, 1)}
		return ICMP{Link: t.Link, IP: ip, Payload: t.Payload}.Frame()
	}),
	ofFrame(func(a *Arrival, t *sending, arg byte) { a.Data = a.Data[:len(a.Data)*int(arg)/256] }),
	ofFrame(func(a *Arrival, t *sending, arg byte) { a.Data = a.Data[:min(len(a.Data), int(arg))] }),
	// Any header byte, checksums made right or left as they were.
	ofFrame(func(a *Arrival, t *sending, arg byte) {
		if at := a.NetOffset() + int(arg); at < len(a.Data) {
			a.Data[at] ^= 1 << (arg % 8)
		}
	}),
	ofFrame(func(a *Arrival, t *sending, arg byte) {
		ip := a.Data[a.NetOffset():]
		at, version := int(arg)%t.headerLen(), ip[0]>>4
		ip[at] ^= 1 << (arg % 8)
		if ip[0]>>4 != version {
			return // nobody knows which checksums would be right
		}
		if version == 4 && int(ip[0]&15)*4 <= len(ip) {
			FixIPv4(ip)
		}
		if t.udp {
			FixUDP(ip, t.IP.headerLen())
		} else {
			FixTCP(ip, t.IP.headerLen())
		}
	}),
	ofFrame(func(a *Arrival, t *sending, arg byte) {
		if at := int(arg); at < a.LinkHdrLen {
			a.Data[at] ^= 1
		}
	}),
	// IDs that go back to the first, or one or two short of it.
	ofTCP(func(t *TCP, arg byte) { t.IP.ID = 0xfffc - uint16(arg%3) }),
	// What only datagrams have: no checksum, a length of their own. Lengths: off
	// by one, that of an empty datagram, anything.
	ofUDP(func(u *UDP, arg byte) { u.NoChecksum = true }),
	ofUDP(func(u *UDP, arg byte) { u.LengthDelta = 1 - 2*int(arg&1) }),
	ofUDP(func(u *UDP, arg byte) { u.LengthDelta = -len(u.Payload) }),
	ofUDP(func(u *UDP, arg byte) { u.LengthDelta = int(int8(arg)) }),
	// Another version field, which IPv6 has no checksum of.
	ofFrame(func(a *Arrival, t *sending, arg byte) { a.Data[a.NetOffset()] ^= 0x10 << (arg % 4) }),
	// Another port; the same ports and the other protocol.
	ofTCP(func(t *TCP, arg byte) { t.SrcPort = 50000 + uint16(arg&1) }),
	ofTCP(func(t *TCP, arg byte) { t.DstPort = 53 + uint16(arg&1) }),
	instead(func(t *sending, arg byte) Frame {
		if t.udp {
			return t.Frame()
		}
		return t.datagram().Frame()
	}),
}

func (t *TCP) fragment(offset uint16, more bool) {
	t.IP.MF, t.IP.FragmentOffset = more, offset
	t.IP.Ext = []Ext{Fragment(offset, more, 1)}
}
