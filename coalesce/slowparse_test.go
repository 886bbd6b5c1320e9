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

	// showsFlow: identity is readable. A fragment shows all but the ports;
	// hidden is the protocol of one that begins with an extension header.
	showsFlow, fragment, hidden bool
	eligible                    bool // may take part in a run

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

	l4, payload []byte // l4 is the TCP or UDP header
	valid       bool   // its checksum
}

func (p *slowPacket) sameAddresses(q *slowPacket) bool {
	return p.v6 == q.v6 && bytes.Equal(p.src, q.src) && bytes.Equal(p.dst, q.dst)
}

func (p *slowPacket) sameFlow(q *slowPacket) bool {
	return p.sameAddresses(q) && p.proto == q.proto && bytes.Equal(p.link, q.link) &&
		bytes.Equal(p.ports, q.ports) && p.label == q.label
}

func slowParse(f slowFrame, udp bool) (p slowPacket) {
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
		p.showsFlow = (p.proto == 6 || p.proto == 17 && udp) && len(p.ip) >= p.ipHdrLen+4
		if p.showsFlow {
			p.transport(size, good)
		}
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
			p.fragment, p.showsFlow, p.proto = true, true, ip[n]
			switch p.proto {
			case 0, 43, 44, 60, 253:
				p.hidden = true
			}
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

// transport takes apart what follows the IP headers: size is the IP packet's by
// its header, good what the IP rules said.
func (p *slowPacket) transport(size int, good bool) {
	rest := p.ip[p.ipHdrLen:]
	p.ports = rest[:4]
	// Padding of an Ethernet frame of up to 60 bytes is trimmed.
	padded := size < len(p.ip) && p.frame.LinkHdrLen >= 14 && len(p.frame.Data) <= 60
	if padded {
		if size < p.ipHdrLen {
			return
		}
		rest = p.ip[p.ipHdrLen:size]
	}
	n := slowHeaderLen(p.proto, rest)
	if n == 0 || n > len(rest) {
		return
	}
	p.l4, p.payload = rest[:n], rest[n:]
	ip := p.ip[:p.ipHdrLen+len(rest)]
	if p.proto == 6 {
		p.valid = packettest.TCPValid(ip, p.ipHdrLen)
		never := byte(packettest.SYN | packettest.RST | packettest.URG | packettest.CWR)
		good = good && p.l4[13]&never == 0 && be16(p.l4[16:]) != 0xffff
	} else {
		p.valid = packettest.UDPValid(ip, p.ipHdrLen)
		good = good && be16(p.l4[4:]) == len(rest) && be16(p.l4[6:]) != 0
	}
	p.eligible = good && !p.frame.exclude && (size == len(p.ip) || padded) &&
		len(p.payload) > 0 && (p.valid || p.frame.vouched)
}

// slowHeaderLen is the length of the transport header that b begins with, or 0.
func slowHeaderLen(proto byte, b []byte) int {
	switch {
	case proto == 17:
		return 8
	case len(b) < 20 || b[12]>>4 < 5:
		return 0
	}
	return int(b[12]>>4) * 4
}
