// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

const (
	protoTCP = 6
	protoUDP = 17
)

// packet is what the oracle reads of an Ethernet frame, on its own account: it
// shares no code with the packages it judges.
type packet struct {
	frame packettest.Frame

	flow string // who has the same belongs together; noFlow or noIP if the frame shows none
	pair string // addresses and protocol alone: what a fragment shows
	// hidden: a fragment that does not show its protocol.
	hidden bool

	proto    byte
	fragment bool
	ip       []byte // to the end of the frame, padding included
	size     int    // of the IP packet by its own account
	l4       int    // offset of the transport header in ip
	ext      string // IPv6 extension headers
	// What of them is special.
	versionWrong, experiment, segmentsLeft bool
}

// What packet.flow says of frames that show no flow. What is not IP counts apart,
// without regard to order: Linux delivers frames that only packet sockets want a
// little later than others (__netif_receive_skb_list_core).
const (
	noFlow = ""
	noIP   = "not IP"
)

// newFrame reads the link header of Ethernet frames.
func newFrame(data []byte) packettest.Frame {
	f := packettest.Frame{Data: data, LinkHdrLen: 14}
	if len(data) >= 14 {
		f.Protocol = binary.BigEndian.Uint16(data[12:])
	}
	return f
}

func readPacket(data []byte) (p packet) {
	p.frame = newFrame(data)
	net := p.frame.NetOffset()
	if len(data) < net {
		p.flow = noIP
		return p
	}
	p.ip = data[net:]
	protocol := p.frame.Protocol
	if protocol == packettest.ProtocolVLAN {
		protocol = binary.BigEndian.Uint16(data[net-2:])
	}
	switch protocol {
	case packettest.ProtocolIPv4:
		p.readIPv4()
	case packettest.ProtocolIPv6:
		p.readIPv6()
	default:
		p.flow = noIP
	}
	return p
}

func (p *packet) readIPv4() {
	ip := p.ip
	if len(ip) < 20 || ip[0]>>4 != 4 || ip[0]&15 < 5 {
		return
	}
	p.l4 = int(ip[0]&15) * 4
	if len(ip) < p.l4 {
		return
	}
	p.proto = ip[9]
	p.size = int(binary.BigEndian.Uint16(ip[2:]))
	p.fragment = binary.BigEndian.Uint16(ip[6:])&0x3fff != 0
	p.pair = "4" + string(ip[12:20]) + string(ip[9:10])
	p.readPorts("")
}

func (p *packet) readIPv6() {
	ip := p.ip
	if len(ip) < 40 {
		return
	}
	p.versionWrong = ip[0]>>4 != 6
	p.size = 40 + int(binary.BigEndian.Uint16(ip[4:]))
	next, n := ip[6], 40
	for next == 0 || next == 43 || next == 44 || next == 60 || next == 253 {
		if len(ip) < n+8 {
			return
		}
		switch {
		case next == 44:
			p.fragment = true
			p.proto = ip[n]
			switch p.proto {
			case 0, 43, 44, 60, 253: // extension headers in the fragmented part
				p.hidden = true
			}
			p.pair = "6" + string(ip[8:40]) + string([]byte{p.proto})
			return
		case next == 43 && ip[n+3] != 0:
			p.segmentsLeft = true
		case next == 253:
			p.experiment = true
		}
		next, n = ip[n], n+8*(1+int(ip[n+1]))
	}
	if len(ip) < n {
		return
	}
	p.proto, p.l4, p.ext = next, n, string(ip[6:7])+string(ip[40:n])
	p.pair = "6" + string(ip[8:40]) + string([]byte{next})
	p.readPorts(string([]byte{ip[0] & 0xf0, ip[1] & 0x0f, ip[2], ip[3]}))
}

func (p *packet) readPorts(label string) {
	if p.fragment || p.proto != protoTCP && p.proto != protoUDP || len(p.ip) < p.l4+4 {
		return
	}
	link := p.frame.Data[:p.frame.NetOffset()]
	p.flow = string(link) + label + p.pair + string(p.ip[p.l4:p.l4+4])
}

// hdrLen is where the payload begins, counted from the IP header, or 0 if the
// transport header is malformed.
func (p *packet) hdrLen() int {
	l4 := p.ip[p.l4:]
	n := 8
	if p.proto == protoTCP {
		if len(l4) < 20 {
			return 0
		}
		n = int(l4[12]>>4) * 4
		if n < 20 {
			return 0
		}
	}
	if len(l4) < n || p.l4+n > p.size {
		return 0
	}
	return p.l4 + n
}

// padded: link padding follows a packet with all its headers, in a frame of the
// shortest length.
func (p *packet) padded() bool {
	return len(p.ip) > p.size && p.hdrLen() > 0 && len(p.frame.Data) <= 60
}

// checksumAt is the offset of the transport checksum in ip.
func (p *packet) checksumAt() int {
	if p.proto == protoUDP {
		return p.l4 + 6
	}
	return p.l4 + 16
}

func (p *packet) tagged() bool { return p.frame.Protocol == packettest.ProtocolVLAN }
