// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"bytes"
	"encoding/binary"

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

// parseTCP reads what decides whether a segment may take part in a run.
func (f *facts) parseTCP(p *Packet) {
	if !f.holds(p, header.TCPMinimumSize) {
		return
	}
	tcp := p.Head[f.l4:]
	f.payload = f.l4 + int(tcp[tcpOffset]>>4)*4
	if f.payload < f.l4+header.TCPMinimumSize || f.payload > f.end || f.payload > len(p.Head) {
		f.refuse(Malformed)
		return
	}
	switch flags := tcp[tcpFlags]; {
	case !f.wholePacket(p):
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

// endsRun reports whether a packet that may take part in a run may only end one.
func endsRun(p *Packet, f *facts) bool {
	return f.key.proto == protoTCP && p.Head[f.l4+tcpFlags]&(flagFin|flagPsh) != 0
}
