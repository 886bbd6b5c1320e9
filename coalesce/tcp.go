// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
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
	if binary.BigEndian.Uint32(tcp[tcpSeq:]) != r.nextSeq {
		return SequenceGap
	}
	// ACK number, data offset, reserved bits, flags and window in one, FIN and
	// PSH aside; which of them it is matters only where they differ.
	const finPsh = uint64(flagFin|flagPsh) << 16
	differ := (binary.BigEndian.Uint64(tcp[tcpAck:]) ^ binary.BigEndian.Uint64(held[tcpAck:])) &^ finPsh
	switch {
	case differ == 0:
	case differ>>32 != 0:
		return AckDiffers
	case differ>>28 != 0:
		return OptionsDiffer
	case differ>>16 != 0:
		return FlagsDiffer
	default:
		return WindowDiffers
	}
	if binary.BigEndian.Uint16(tcp[tcpUrgent:]) != binary.BigEndian.Uint16(held[tcpUrgent:]) {
		return UrgentDiffers
	}
	if !bytes.Equal(tcp[header.TCPMinimumSize:], held[header.TCPMinimumSize:]) {
		return OptionsDiffer
	}
	return Merged
}

// pseudoSum is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200,
// section 8.1) over the IP header at ip for n bytes of TCP.
func pseudoSum(ip []byte, version uint8, n int) uint16 {
	xsum := checksum.Combine(uint16(protoTCP), uint16(n))
	if version == 4 {
		return checksum.Checksum(ip[12:20], xsum)
	}
	return checksum.Checksum(ip[8:40], xsum)
}

// sums are what the checksums of all packets of a run have in common.
type sums struct {
	pseudo uint16 // the pseudo-header but for the length
	fixed  uint16 // that, and the TCP header but for what lacking adds
}

func newSums(head []byte, f *facts) sums {
	pseudo := pseudoSum(head[f.net:], f.key.version, 0)
	tcp := head[f.l4:f.payload]
	fixed := checksum.Checksum(tcp[:tcpSeq], pseudo)
	fixed = checksum.Checksum(tcp[tcpAck:tcpOffset], fixed)
	fixed = checksum.Checksum(tcp[tcpWindow:tcpChecksum], fixed)
	return sums{pseudo: pseudo, fixed: checksum.Checksum(tcp[tcpUrgent:], fixed)}
}

// lacking returns the sum of a packet's TCP payload without reading it: with a
// right checksum everything adds up to 0xffff, which is zero, so the payload is
// what the headers lack.
func (s sums) lacking(head []byte, f *facts) uint16 {
	tcp := head[f.l4:f.payload]
	xsum := uint32(s.fixed) + uint32(uint16(f.end-f.l4)) +
		uint32(binary.BigEndian.Uint16(tcp[tcpSeq:])) + uint32(binary.BigEndian.Uint16(tcp[tcpSeq+2:])) +
		uint32(binary.BigEndian.Uint16(tcp[tcpOffset:])) + uint32(binary.BigEndian.Uint16(tcp[tcpChecksum:]))
	xsum = xsum>>16 + xsum&0xffff
	return ^uint16(xsum>>16 + xsum)
}

// checksumOK verifies the TCP checksum of a packet that parse found whole.
func (s sums) checksumOK(head []byte, tail [][]byte, f *facts) bool {
	xsum := checksum.Combine(s.pseudo, uint16(f.end-f.l4))
	if f.end <= len(head) {
		return sum.Bytes(head[f.l4:f.end], xsum) == 0xffff
	}
	xsum = sum.Bytes(head[f.l4:], xsum)
	odd := (len(head)-f.l4)&1 != 0
	left := f.end - len(head)
	for _, b := range tail {
		b = b[:min(left, len(b))]
		part := sum.Bytes(b, 0)
		if odd {
			part = swap(part)
		}
		xsum = checksum.Combine(xsum, part)
		odd = odd != (len(b)&1 != 0)
		left -= len(b)
	}
	return xsum == 0xffff
}

// swap is what an odd number of bytes in front does to a sum (RFC 1071, section 2
// (B)).
func swap(sum uint16) uint16 { return sum<<8 | sum>>8 }
