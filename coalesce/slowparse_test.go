// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"bytes"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// slowPacket is a packet taken apart for the slow coalescer.
type slowPacket struct {
	frame slowFrame
	ip    []byte // from the IP header to the end of the frame

	// showsFlow: identity is readable. A fragment shows all but the ports.
	showsFlow, fragment bool
	eligible            bool // may take part in a run

	link     []byte
	v6       bool
	src, dst []byte
	proto    byte
	ports    []byte
	label    uint32

	ttl, tos byte
	df       bool
	id       uint16
	ext      []byte // IPv6: all extension headers, and the first next header
	ipHdrLen int

	tcp, payload []byte
	tcpValid     bool
}

func (p *slowPacket) sameAddresses(q *slowPacket) bool {
	return p.v6 == q.v6 && bytes.Equal(p.src, q.src) && bytes.Equal(p.dst, q.dst) && p.proto == q.proto
}

func (p *slowPacket) sameFlow(q *slowPacket) bool {
	return p.sameAddresses(q) && bytes.Equal(p.link, q.link) && bytes.Equal(p.ports, q.ports) && p.label == q.label
}

func slowParse(f slowFrame) (p slowPacket) {
	p.frame = f
	protocol, net := f.Protocol, f.NetOffset()
	if len(f.Data) <= net {
		return p
	}
	if protocol == packettest.ProtocolVLAN {
		protocol = uint16(be16(f.Data[net-2:]))
	}
	p.link, p.ip = f.Data[:net], f.Data[net:]
	var size int // by the IP header
	var good bool
	switch {
	case protocol == packettest.ProtocolIPv4 && p.ip[0]>>4 == 4:
		size, good = p.ipv4()
	case protocol == packettest.ProtocolIPv6 && p.ip[0]>>4 == 6:
		size, good = p.ipv6()
	}
	if p.showsFlow && !p.fragment {
		p.segment(size, good)
	}
	return p
}

// ipv4 returns the total length and whether the IPv4 rules let the packet into
// a run.
func (p *slowPacket) ipv4() (size int, good bool) {
	ip := p.ip
	if len(ip) < 20 || ip[0]&15 < 5 || len(ip) < int(ip[0]&15)*4 {
		return 0, false
	}
	p.showsFlow = true
	p.src, p.dst, p.proto = ip[12:16], ip[16:20], ip[9]
	p.ttl, p.tos, p.id = ip[8], ip[1], uint16(be16(ip[4:]))
	p.df = ip[6]&0x40 != 0
	p.ipHdrLen = int(ip[0]&15) * 4
	p.fragment = be16(ip[6:])&0x3fff != 0
	reserved := ip[6]&0x80 != 0
	valid := packettest.Checksum(ip[:p.ipHdrLen]) == 0 && be16(ip[10:]) != 0xffff
	return be16(ip[2:]), p.ipHdrLen == 20 && !reserved && valid
}

// ipv6 does the same for IPv6 and its extension headers.
func (p *slowPacket) ipv6() (size int, good bool) {
	ip := p.ip
	if len(ip) < 40 {
		return 0, false
	}
	p.v6 = true
	p.src, p.dst = ip[8:24], ip[24:40]
	p.ttl, p.tos = ip[7], byte(be16(ip)>>4)
	p.label = be32(ip) & 0xfffff
	good = true
	next, n := ip[6], 40
	for next == 0 || next == 43 || next == 44 || next == 60 || next == 253 {
		if len(ip) < n+8 {
			return 0, false
		}
		if next == 44 {
			p.fragment, p.showsFlow, p.proto = true, true, slowFragmentProto(ip[n])
			return 0, false
		}
		if next == 43 && ip[n+3] != 0 {
			good = false // a Routing header with Segments Left
		}
		if next == 253 {
			good = false // an experiment
		}
		next, n = ip[n], n+8*(1+int(ip[n+1]))
	}
	if len(ip) < n {
		return 0, false
	}
	p.showsFlow, p.proto, p.ipHdrLen = true, next, n
	p.ext = append([]byte{ip[6]}, ip[40:n]...)
	return 40 + be16(ip[4:]), good
}

// slowFragmentProto is the protocol of an IPv6 fragment, taken for TCP where
// extension headers in the fragmented part hide it.
func slowFragmentProto(next byte) byte {
	switch next {
	case 0, 43, 44, 60, 253:
		return 6
	}
	return next
}

// segment takes the TCP segment apart: size is the IP packet's by its header,
// good what the IP rules said.
func (p *slowPacket) segment(size int, good bool) {
	l4 := p.ip[p.ipHdrLen:]
	p.showsFlow = p.proto == 6 && len(l4) >= 4
	if !p.showsFlow {
		return
	}
	p.ports = l4[:4]
	// Padding of an Ethernet frame of up to 60 bytes is trimmed.
	padded := size < len(p.ip) && p.frame.LinkHdrLen >= 14 && len(p.frame.Data) <= 60
	if padded {
		if size < p.ipHdrLen {
			return
		}
		l4 = p.ip[p.ipHdrLen:size]
	}
	if len(l4) < 20 || l4[12]>>4 < 5 || len(l4) < int(l4[12]>>4)*4 {
		return
	}
	p.tcp, p.payload = l4[:int(l4[12]>>4)*4], l4[int(l4[12]>>4)*4:]
	sum := be16(p.tcp[16:])
	p.tcpValid = packettest.TCPValid(p.ip[:p.ipHdrLen+len(l4)], p.ipHdrLen)
	never := byte(packettest.SYN | packettest.RST | packettest.URG | packettest.CWR)
	p.eligible = good && !p.frame.exclude && (size == len(p.ip) || padded) &&
		p.tcp[13]&never == 0 && len(p.payload) > 0 && sum != 0xffff && (p.tcpValid || p.frame.vouched)
}
