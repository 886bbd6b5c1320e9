// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	protoTCP = uint8(header.TCPProtocolNumber)
	protoUDP = uint8(header.UDPProtocolNumber)
	// protoHidden stands for the protocol of an IPv6 fragment that does not
	// show it. Of what is no extension header, only IPv4 could have this number.
	protoHidden = uint8(header.IPv6HopByHopOptionsExtHdrIdentifier)

	ethertypeVLAN = 0x8100
	vlanTagLen    = 4

	// minEthernetFrame is the shortest Ethernet frame without its FCS (IEEE
	// 802.3, 3.2.8): up to here trailing bytes are padding.
	minEthernetFrame = 60

	// maxIPPacket is what the 16-bit total length of IPv4 can say.
	maxIPPacket = 65535
)

// facts is what one look at a packet's headers tells. Offsets count from the
// first byte of Packet.Head.
type facts struct {
	key     flowKey // version 0: shows no flow
	verdict Verdict // Started: may take part in a run
	net     int     // IP header
	l4      int     // TCP or UDP header
	payload int     // behind that header
	end     int     // end of the IP packet, padding excluded
}

// parse fills f from p. It reads no further than p.Head and takes nothing in it
// for granted. Each refusal still says which flow the packet belongs to if its
// ports are there to read, because a passing packet closes its flow's run. udp
// says that datagrams too may take part in runs.
func (f *facts) parse(p *Packet, udp bool) {
	protocol := p.Protocol
	f.net = p.LinkHdrLen
	if p.Exclude {
		f.verdict = Excluded
	}
	if protocol == ethertypeVLAN {
		if f.net < 0 || len(p.Head) < f.net+vlanTagLen {
			f.refuse(NotIP)
			return
		}
		protocol = tcpip.NetworkProtocolNumber(binary.BigEndian.Uint16(p.Head[f.net+2:]))
		f.net += vlanTagLen
	}
	switch {
	case p.LinkHdrLen < 0 || f.net >= len(p.Head):
		f.refuse(NotIP)
	case protocol == header.IPv4ProtocolNumber && p.Head[f.net]>>4 == 4:
		f.parseIPv4(p)
	case protocol == header.IPv6ProtocolNumber && p.Head[f.net]>>4 == 6:
		f.parseIPv6(p)
	default:
		f.refuse(NotIP)
	}
	if f.key.version != 0 && f.verdict != Fragment {
		f.parseTransport(p, udp)
	}
}

// parseTransport reads what follows the IP headers of an unfragmented packet.
func (f *facts) parseTransport(p *Packet, udp bool) {
	switch f.key.proto {
	case protoTCP:
		f.parseTCP(p)
	case protoUDP:
		f.parseUDP(p, udp)
	default:
		f.refuse(NotTCP)
	}
}

// holds reads the ports and reports whether p.Head holds a transport header of n
// bytes. A packet that does not even show its ports shows no flow.
func (f *facts) holds(p *Packet, n int) bool {
	l4 := p.Head[f.l4:]
	if len(l4) >= 4 {
		f.key.ports = binary.LittleEndian.Uint32(l4)
	} else {
		f.key.version = 0
	}
	if len(l4) < n {
		f.refuse(Malformed)
	}
	return len(l4) >= n
}

// wholePacket reports whether the IP packet ends where the bytes received do,
// padding of a short Ethernet frame aside.
func (f *facts) wholePacket(p *Packet) bool {
	size := p.size()
	padded := f.end < size && p.LinkHdrLen >= header.EthernetMinimumSize && size <= minEthernetFrame
	return f.end == size || padded
}

// refuse sets the verdict unless an earlier rule has refused the packet.
func (f *facts) refuse(v Verdict) {
	if f.verdict == Started {
		f.verdict = v
	}
}

func (f *facts) parseIPv4(p *Packet) {
	ip := p.Head[f.net:]
	if len(ip) < header.IPv4MinimumSize {
		f.refuse(Malformed)
		return
	}
	hdrLen := int(ip[0]&0xf) * 4
	if hdrLen < header.IPv4MinimumSize || len(ip) < hdrLen {
		f.refuse(Malformed)
		return
	}
	f.key.version = 4
	f.key.src[0] = uint64(binary.LittleEndian.Uint32(ip[12:]))
	f.key.dst[0] = uint64(binary.LittleEndian.Uint32(ip[16:]))
	f.key.proto = ip[9]
	f.l4 = f.net + hdrLen
	f.end = f.net + int(binary.BigEndian.Uint16(ip[2:]))

	// The low 14 bits are MF and the fragment offset; the top bit is reserved.
	flags := binary.BigEndian.Uint16(ip[6:])
	if flags&0x3fff != 0 {
		f.verdict = Fragment // even of an excluded one: it closes more than one run
		return
	}
	switch {
	case hdrLen != header.IPv4MinimumSize:
		f.refuse(IPOptions)
	case flags&0x8000 != 0:
		f.refuse(ReservedFlag)
	case !ipv4ChecksumOK(ip):
		f.refuse(BadIPChecksum)
	case binary.BigEndian.Uint16(ip[10:]) == 0xffff:
		f.refuse(ChecksumFFFF)
	}
}

// ipv4ChecksumOK verifies a header of 20 bytes (RFC 1071, section 2 (C): in words
// of 32 bits).
func ipv4ChecksumOK(ip []byte) bool {
	ip = ip[:header.IPv4MinimumSize]
	sum := uint64(binary.BigEndian.Uint32(ip)) + uint64(binary.BigEndian.Uint32(ip[4:])) +
		uint64(binary.BigEndian.Uint32(ip[8:])) + uint64(binary.BigEndian.Uint32(ip[12:])) +
		uint64(binary.BigEndian.Uint32(ip[16:]))
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return sum>>16+sum&0xffff == 0xffff
}

func (f *facts) parseIPv6(p *Packet) {
	ip := p.Head[f.net:]
	if len(ip) < header.IPv6MinimumSize {
		f.refuse(Malformed)
		return
	}
	f.key.version = 6
	f.key.src = [2]uint64{binary.LittleEndian.Uint64(ip[8:]), binary.LittleEndian.Uint64(ip[16:])}
	f.key.dst = [2]uint64{binary.LittleEndian.Uint64(ip[24:]), binary.LittleEndian.Uint64(ip[32:])}
	f.end = f.net + header.IPv6MinimumSize + int(binary.BigEndian.Uint16(ip[4:]))

	next, n, verdict := walkIPv6(ip)
	f.key.proto = next
	f.l4 = f.net + n
	switch verdict {
	case Fragment:
		f.verdict = Fragment
		// What a fragment carries behind extension headers of its own does
		// not show.
		if isExtension(next) {
			f.key.proto = protoHidden
		}
		return
	case Malformed:
		f.key.version = 0
		f.refuse(Malformed)
		return
	}
	f.key.label = binary.BigEndian.Uint32(ip) & 0xfffff
	f.refuse(verdict)
}

// walkIPv6 follows the extension headers of ip, which begins with an IPv6 header
// (RFC 8200, section 4). It returns the first next header value that is no
// extension, or that of the data behind a Fragment header, and where that
// begins. The verdict is Started, ExtHeader if one of them never merges,
// Fragment, or Malformed if the chain leaves ip.
func walkIPv6(ip []byte) (next uint8, n int, verdict Verdict) {
	next, n = ip[6], header.IPv6MinimumSize
	for {
		if !isExtension(next) {
			return next, n, verdict
		}
		id := header.IPv6ExtensionHeaderIdentifier(next)
		if len(ip) < n+8 {
			return next, n, Malformed
		}
		ext := ip[n:]
		next = ext[0]
		if id == header.IPv6FragmentExtHdrIdentifier {
			return next, n + 8, Fragment
		}
		switch {
		case id == header.IPv6RoutingExtHdrIdentifier && ext[3] != 0:
			verdict = ExtHeader // Segments Left: the destination is not final
		case id == header.IPv6ExperimentExtHdrIdentifier:
			verdict = ExtHeader // RFC 4727: what it means is not known
		}
		n += 8 + 8*int(ext[1])
		if len(ip) < n {
			return next, n, Malformed
		}
	}
}

// isExtension reports whether next names an extension header that walkIPv6
// looks behind.
func isExtension(next uint8) bool {
	switch header.IPv6ExtensionHeaderIdentifier(next) {
	case header.IPv6HopByHopOptionsExtHdrIdentifier,
		header.IPv6DestinationOptionsExtHdrIdentifier,
		header.IPv6RoutingExtHdrIdentifier,
		header.IPv6FragmentExtHdrIdentifier,
		header.IPv6ExperimentExtHdrIdentifier:
		return true
	}
	return false
}

// sameIP compares the IP headers of a newcomer with those of the held run's
// first packet, the fields of the flow key aside, and returns Merged if they
// allow a join. The IPv4 ID is judged apart.
func sameIP(r *Run, p *Packet, f *facts) Verdict {
	held, ip := r.head[r.f.net:r.f.l4], p.Head[f.net:f.l4]
	if f.key.version == 4 {
		held, ip = held[:header.IPv4MinimumSize], ip[:header.IPv4MinimumSize]
		switch {
		case (held[8]^ip[8])|(held[1]^ip[1])|(held[6]^ip[6]) == 0:
			return Merged
		case held[8] != ip[8]:
			return TTLDiffers
		case held[1] != ip[1]:
			return TOSDiffers
		case held[6] != ip[6]:
			return DFDiffers
		}
		return Merged
	}
	switch {
	case held[7] != ip[7]:
		return TTLDiffers
	case held[0] != ip[0] || held[1]&0xf0 != ip[1]&0xf0:
		return TOSDiffers
	case held[6] != ip[6] || !bytes.Equal(held[header.IPv6MinimumSize:], ip[header.IPv6MinimumSize:]):
		return ExtHeadersDiffer
	}
	return Merged
}

// idMode is how the IPv4 IDs of a run go on.
type idMode uint8

const (
	idOpen     idMode = iota // one packet: the second decides
	idCounting               // first plus index, mod 2^16
	idFixed                  // all equal
)

// nextIDMode returns the mode of r once a packet with the given ID has joined,
// and false if it may not.
func (r *Run) nextIDMode(id uint16) (idMode, bool) {
	first := binary.BigEndian.Uint16(r.head[r.f.net+4:])
	counts := id == first+uint16(r.Count)
	switch {
	case r.ids != idFixed && counts:
		return idCounting, true
	case r.ids != idCounting && id == first:
		return idFixed, true
	}
	return r.ids, false
}
