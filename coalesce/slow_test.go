// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"bytes"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// The obvious, slow coalescer: RULES.md written down rule by rule, without a
// thought for speed and without a line of the package's code. Tests compare the
// package with it.

// slowFrame is a packet and what the link says about it.
type slowFrame struct {
	packettest.Frame
	vouched, exclude bool
}

// slowRun is what leaves.
type slowRun struct {
	members     []int // indices of the packets
	proto       byte
	fixedID     bool
	segmentSize int
	vouched     bool
	bytes       []byte // of the packet that leaves, link header included
	// unchecked: a vouched member's checksum is wrong, so that nothing is
	// promised about the merged one, which begins here in bytes.
	unchecked  bool
	checksumAt int

	first    slowPacket
	packets  []slowPacket
	open     bool // takes successors
	counting bool // IDs, once there are two
}

type slowCoalescer struct {
	udp      bool // UDP datagrams may merge
	endsHere func(dst []byte) bool
	runs     []*slowRun // in the order of leaving
	added    int
}

// held is the number of packets not yet popped.
func (s *slowCoalescer) held() int {
	n := 0
	for _, r := range s.runs {
		n += len(r.members)
	}
	return n
}

func (s *slowCoalescer) pop() *slowRun {
	if len(s.runs) == 0 {
		return nil
	}
	r := s.runs[0]
	s.runs = s.runs[1:]
	r.finish()
	return r
}

// add reports whether the packet joined a held run.
func (s *slowCoalescer) add(f slowFrame) (joined bool) {
	p := slowParse(f, s.udp)
	index := s.added
	s.added++
	if p.fragment {
		// Order: a fragment has no ports: it closes all runs of its addresses
		// and protocol, or of any protocol if it shows none.
		for _, r := range s.runs {
			if r.first.showsFlow && r.first.sameAddresses(&p) && (p.hidden || r.first.proto == p.proto) {
				r.open = false
			}
		}
	} else if p.showsFlow {
		for _, r := range s.runs {
			if !r.open || !r.first.sameFlow(&p) {
				continue
			}
			if s.mayJoin(r, &p) {
				r.join(index, &p)
				return true
			}
			r.open = false // whether p then starts a run or passes
		}
	}
	s.runs = append(s.runs, &slowRun{
		members: []int{index}, packets: []slowPacket{p}, first: p, proto: p.proto,
		open: p.eligible && !p.ends(),
	})
	return false
}

func (s *slowCoalescer) mayJoin(r *slowRun, p *slowPacket) bool {
	h := &r.first
	last := &r.packets[len(r.packets)-1]
	switch {
	case !p.eligible:
	case p.ttl != h.ttl, p.tos != h.tos, p.df != h.df:
	case !bytes.Equal(p.ext, h.ext):
	case p.proto == 6 && !slowSameTCP(p.l4, h.l4):
	case p.proto == 6 && be32(p.l4[4:]) != be32(last.l4[4:])+uint32(len(last.payload)):
	case p.proto == 17 && len(r.packets) == 64:
	case len(p.payload) > len(h.payload):
	case r.ipSize()+len(p.payload) > 65535:
	case !h.v6 && !r.idFits(p.id):
	case s.endsHere != nil && !s.endsHere(h.dst):
	default:
		return true
	}
	return false
}

// slowSameTCP compares everything but sequence, FIN, PSH and checksum.
func slowSameTCP(a, b []byte) bool {
	blank := func(h []byte) []byte {
		h = bytes.Clone(h)
		copy(h[4:8], []byte{0, 0, 0, 0})
		h[13] &^= packettest.FIN | packettest.PSH
		h[16], h[17] = 0, 0
		return h
	}
	return bytes.Equal(blank(a), blank(b))
}

// ends reports whether the packet may only end a run.
func (p *slowPacket) ends() bool {
	return p.proto == 6 && p.l4[13]&(packettest.FIN|packettest.PSH) != 0
}

// ipSize is the size of the merged IP packet so far.
func (r *slowRun) ipSize() int {
	n := r.first.ipHdrLen + len(r.first.l4)
	for _, p := range r.packets {
		n += len(p.payload)
	}
	return n
}

func (r *slowRun) idFits(id uint16) bool {
	counts := id == r.first.id+uint16(len(r.packets))
	stays := id == r.first.id
	if len(r.packets) == 1 {
		return counts || stays
	}
	return r.counting && counts || !r.counting && stays
}

func (r *slowRun) join(index int, p *slowPacket) {
	if len(r.packets) == 1 {
		r.counting = r.first.v6 || p.id != r.first.id
	}
	r.members = append(r.members, index)
	r.packets = append(r.packets, *p)
	if len(p.payload) < len(r.first.payload) || p.ends() {
		r.open = false
	}
}

// finish builds the packet that leaves.
func (r *slowRun) finish() {
	r.bytes = r.first.frame.Data
	if len(r.packets) == 1 {
		return
	}
	f := &r.first
	last := &r.packets[len(r.packets)-1]
	r.segmentSize = len(f.payload)
	r.fixedID = !f.v6 && !r.counting
	l4 := f.ipHdrLen
	ip := bytes.Clone(f.ip[:l4])
	ip = append(ip, f.l4...)
	if r.proto == 6 {
		ip[l4+13] |= last.l4[13] & (packettest.FIN | packettest.PSH)
	}
	for _, p := range r.packets {
		ip = append(ip, p.payload...)
		r.vouched = r.vouched || p.frame.vouched
		r.unchecked = r.unchecked || !p.valid
	}
	if f.v6 {
		put16(ip[4:], len(ip)-40)
	} else {
		put16(ip[2:], len(ip))
		packettest.FixIPv4(ip)
	}
	net := f.frame.NetOffset()
	if r.proto == 6 {
		packettest.FixTCP(ip, l4)
		r.checksumAt = net + l4 + 16
	} else {
		put16(ip[l4+4:], len(ip)-l4)
		packettest.FixUDP(ip, l4)
		r.checksumAt = net + l4 + 6
	}
	r.bytes = append(bytes.Clone(f.frame.Data[:net]), ip...)
}

func put16(b []byte, v int) { b[0], b[1] = byte(v>>8), byte(v) }

func be16(b []byte) int { return int(b[0])<<8 | int(b[1]) }

func be32(b []byte) uint32 { return uint32(be16(b))<<16 | uint32(be16(b[2:])) }
