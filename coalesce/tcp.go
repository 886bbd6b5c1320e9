// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Offsets into a TCP header (RFC 9293, section 3.1).
const (
	tcpSeq      = 4
	tcpAck      = 8
	tcpOffset   = 12 // data offset and reserved bits
	tcpFlags    = 13
	tcpWindow   = 14
	tcpChecksum = 16
	tcpUrgent   = 18
)

const (
	flagFin = byte(header.TCPFlagFin)
	flagSyn = byte(header.TCPFlagSyn)
	flagRst = byte(header.TCPFlagRst)
	flagPsh = byte(header.TCPFlagPsh)
	flagUrg = byte(header.TCPFlagUrg)
	flagCwr = byte(header.TCPFlagCwr)
)

// parseTransport reads what follows the IP headers of an unfragmented packet:
// the ports, and of TCP all that decides whether it may take part in a run.
func (f *facts) parseTransport(p *Packet) {
	if f.key.proto != protoTCP {
		if f.key.proto == protoUDP && len(p.Head) >= f.l4+4 {
			f.key.ports = binary.LittleEndian.Uint32(p.Head[f.l4:])
		}
		f.refuse(NotTCP)
		return
	}
	if len(p.Head) < f.l4+4 {
		f.key.version = 0
		f.refuse(Malformed)
		return
	}
	f.key.ports = binary.LittleEndian.Uint32(p.Head[f.l4:])
	if len(p.Head) < f.l4+header.TCPMinimumSize {
		f.refuse(Malformed)
		return
	}
	tcp := p.Head[f.l4:]
	f.payload = f.l4 + int(tcp[tcpOffset]>>4)*4
	if f.payload < f.l4+header.TCPMinimumSize || f.payload > f.end || f.payload > len(p.Head) {
		f.refuse(Malformed)
		return
	}
	size := p.size()
	padded := f.end < size && p.LinkHdrLen >= header.EthernetMinimumSize && size <= minEthernetFrame
	switch flags := tcp[tcpFlags]; {
	case f.end != size && !padded:
		f.refuse(LengthMismatch)
	case flags&(flagSyn|flagRst|flagUrg) != 0:
		f.refuse(Control)
	case f.payload == f.end:
		f.refuse(NoPayload)
	case flags&flagCwr != 0:
		f.refuse(CWR)
	case binary.BigEndian.Uint16(tcp[tcpChecksum:]) == 0xffff:
		f.refuse(ChecksumFFFF)
	}
}

// sameTCP compares the TCP header of a newcomer with that of the held run, and
// returns Merged if they allow a join.
func sameTCP(r *Run, p *Packet, f *facts) Verdict {
	held, tcp := r.head[r.f.l4:r.f.payload], p.Head[f.l4:f.payload]
	switch {
	case binary.BigEndian.Uint32(tcp[tcpSeq:]) != r.nextSeq:
		return SequenceGap
	case binary.BigEndian.Uint32(tcp[tcpAck:]) != binary.BigEndian.Uint32(held[tcpAck:]):
		return AckDiffers
	case tcp[tcpOffset]>>4 != held[tcpOffset]>>4:
		return OptionsDiffer
	case tcp[tcpOffset] != held[tcpOffset] || (tcp[tcpFlags]^held[tcpFlags])&^(flagFin|flagPsh) != 0:
		return FlagsDiffer
	case binary.BigEndian.Uint16(tcp[tcpWindow:]) != binary.BigEndian.Uint16(held[tcpWindow:]):
		return WindowDiffers
	case binary.BigEndian.Uint16(tcp[tcpUrgent:]) != binary.BigEndian.Uint16(held[tcpUrgent:]):
		return UrgentDiffers
	case !bytes.Equal(tcp[header.TCPMinimumSize:], held[header.TCPMinimumSize:]):
		return OptionsDiffer
	}
	return Merged
}

// pseudoSum is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200,
// section 8.1) over the IP header at ip for n bytes of TCP.
func pseudoSum(ip []byte, version uint8, n int) uint16 {
	sum := checksum.Combine(uint16(protoTCP), uint16(n))
	if version == 4 {
		return checksum.Checksum(ip[12:20], sum)
	}
	return checksum.Checksum(ip[8:40], sum)
}

// tcpChecksumOK verifies the TCP checksum of a packet that parse found whole.
func tcpChecksumOK(head []byte, tail [][]byte, f *facts) bool {
	sum := pseudoSum(head[f.net:], f.key.version, f.end-f.l4)
	if f.end <= len(head) {
		return checksum.Checksum(head[f.l4:f.end], sum) == 0xffff
	}
	var c checksum.Checksumer
	c.Add(head[f.l4:])
	left := f.end - len(head)
	for _, b := range tail {
		b = b[:min(left, len(b))]
		c.Add(b)
		left -= len(b)
	}
	return checksum.Combine(c.Checksum(), sum) == 0xffff
}

// payloadSum returns the sum of a packet's TCP payload without reading it: with
// a right checksum everything adds up to 0xffff, which is zero, so the payload
// is what its headers lack.
func payloadSum(head []byte, f *facts) uint16 {
	return ^checksum.Checksum(head[f.l4:f.payload], pseudoSum(head[f.net:], f.key.version, f.end-f.l4))
}
