// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// join adds the packet to run i if every rule allows it.
func (t *Table) join(i int32, p *Packet, f *facts) Verdict {
	r := &t.runs[i]
	if v := t.mayJoin(r, p, f); v != Merged {
		return v
	}
	if r.Count == 1 {
		r.sum = r.sums.lacking(r.head, &r.f)
	}
	sum := r.sums.lacking(p.Head, f)
	if r.PayloadLen&1 != 0 {
		sum = swap(sum)
	}
	size := f.end - f.payload
	r.sum = checksum.Combine(r.sum, sum)
	r.Count++
	r.Vouched = r.Vouched || p.Vouched
	r.FixedID = r.ids == idFixed
	r.PayloadLen += size
	if f.key.proto == protoTCP {
		r.nextSeq += uint32(size)
		r.flags = p.Head[f.l4+tcpFlags] & (flagFin | flagPsh)
	}
	t.addMember(r, p, f)

	verdict := Merged
	switch {
	case r.flags&flagFin != 0:
		verdict = MergedFin
	case r.flags&flagPsh != 0:
		verdict = MergedPush
	case size < r.SegmentSize:
		verdict = MergedShort
	case r.Count == maxDatagrams && f.key.proto == protoUDP:
		verdict = MergedFull
	}
	if verdict != Merged {
		t.unlink(i)
	}
	return verdict
}

// mayJoin applies the rules, the cheap ones first, and notes in r what they
// settle about it.
func (t *Table) mayJoin(r *Run, p *Packet, f *facts) Verdict {
	if t.fenced(r) {
		return Fenced
	}
	if v := sameIP(r, p, f); v != Merged {
		return v
	}
	if f.key.proto == protoTCP {
		if v := sameTCP(r, p, f); v != Merged {
			return v
		}
	}
	ids := r.ids
	if f.key.version == 4 {
		var ok bool
		if ids, ok = r.nextIDMode(binary.BigEndian.Uint16(p.Head[f.net+4:])); !ok {
			return IDDiffers
		}
	}
	size := f.end - f.payload
	switch {
	case size > r.SegmentSize:
		return Longer
	case r.HeaderLen-r.f.net+r.PayloadLen+size > maxIPPacket:
		return TooLarge
	case r.Count == 1 && !t.endsHere(r):
		return NotLocal
	}
	if r.Count == 1 {
		r.sums = newSums(r.head, &r.f)
	}
	if !p.Vouched && !r.sums.checksumOK(p.Head, p.Tail, f) {
		return BadChecksum
	}
	// The first packet is verified only now: many never get a second.
	if r.Count == 1 && !r.Vouched && !r.sums.checksumOK(r.head, r.tail, &r.f) {
		return HeldBadChecksum
	}
	r.ids = ids
	return Merged
}

// endsHere asks Config.EndsHere, and remembers the answer for the next run.
func (t *Table) endsHere(r *Run) bool {
	if t.cfg.EndsHere == nil {
		return true
	}
	l, k := &t.local, &r.f.key
	if l.known && l.version == k.version && l.dst == k.dst {
		return l.answer
	}
	ip := r.head[r.f.net:]
	protocol, dst := header.IPv4ProtocolNumber, ip[16:20]
	if k.version == 6 {
		protocol, dst = header.IPv6ProtocolNumber, ip[24:40]
	}
	l.known, l.version, l.dst = true, k.version, k.dst
	l.answer = t.cfg.EndsHere(protocol, dst)
	return l.answer
}

func (t *Table) addMember(r *Run, p *Packet, f *facts) {
	i := t.freeMember
	if i != none {
		t.freeMember = t.members[i].next
	} else {
		t.members = append(t.members, member{})
		i = int32(len(t.members) - 1)
	}
	m := &t.members[i]
	m.payload = p.Head[f.payload:min(f.end, len(p.Head))]
	m.tail = p.Tail
	m.size = int32(f.end - f.payload)
	m.next = none
	if r.lastMember == none {
		r.firstMember = i
	} else {
		t.members[r.lastMember].next = i
	}
	r.lastMember = i
}
