// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
)

// flowSet is the set of TCP flows that are forwarded, by a hash of what their
// packets look like when they come in. An Endpoint learns them from what goes out:
// where the stack forwards packets of a flow, it forwards those that come back,
// even if they have an address of its own, because it translates addresses
// (iptables: SNAT and MASQUERADE, whose replies come to the NIC's address; DNAT).
// The handshake has passed before there is anything to merge.
//
// A flow that is in the set by accident is not merged, which is safe. One that was
// forgotten, because tens of thousands of others came since it last sent anything,
// loses the first packets that are merged and is back when it has sent again.
//
// The zero value is an empty set. Its methods are safe for concurrent use.
type flowSet struct {
	young, old atomic.Pointer[generation]
	mu         sync.Mutex // held to exchange generations
}

const (
	generationBits  = 1 << 19
	generationFlows = 1 << 14 // so that one flow in 16 is in the set by accident, at most
)

// generation is the flows that were added in some time.
type generation struct {
	bits  [generationBits / 64]atomic.Uint64
	flows atomic.Int32
}

func (g *generation) has(hash uint64) bool {
	return g != nil && g.bits[hash%generationBits/64].Load()&(1<<(hash%64)) != 0
}

func (s *flowSet) inUse() bool { return s.young.Load() != nil }

func (s *flowSet) has(hash uint64) bool {
	return s.young.Load().has(hash) || s.old.Load().has(hash)
}

func (s *flowSet) add(hash uint64) {
	g := s.young.Load()
	if g.has(hash) {
		return
	}
	if g == nil || g.flows.Load() >= generationFlows {
		g = s.exchange(g)
	}
	g.bits[hash%generationBits/64].Or(1 << (hash % 64))
	g.flows.Add(1)
}

// exchange puts a new generation in the place of g.
func (s *flowSet) exchange(g *generation) *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.young.Load(); now != g {
		return now
	}
	s.old.Store(g)
	s.young.Store(new(generation))
	return s.young.Load()
}

// noteForwarded adds the flow that answers pkt's to those that are forwarded. pkt
// is on its way out and stays the caller's.
func (e *Endpoint) noteForwarded(pkt *stack.PacketBuffer) {
	ip, tcp := pkt.NetworkHeader().Slice(), pkt.TransportHeader().Slice()
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber || len(tcp) < header.TCPMinimumSize {
		return // of other protocols nothing is merged
	}
	// What a packet of the answering flow looks like, as far as a Hasher is
	// concerned.
	var answer [header.IPv6MinimumSize + header.TCPMinimumSize]byte
	p := coalesce.Packet{Protocol: pkt.NetworkProtocolNumber}
	switch {
	case pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber && len(ip) >= header.IPv4MinimumSize:
		p.Head = answer[:header.IPv4MinimumSize+header.TCPMinimumSize]
		p.Head[0] = 4<<4 | header.IPv4MinimumSize/4
		p.Head[9] = uint8(header.TCPProtocolNumber)
		binary.BigEndian.PutUint16(p.Head[2:], uint16(len(p.Head)))
		copy(p.Head[12:], ip[16:20])
		copy(p.Head[16:], ip[12:16])
	case pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber && len(ip) >= header.IPv6MinimumSize:
		p.Head = answer[:]
		p.Head[0] = 6 << 4
		p.Head[6] = uint8(header.TCPProtocolNumber)
		binary.BigEndian.PutUint16(p.Head[4:], header.TCPMinimumSize)
		copy(p.Head[8:], ip[24:40])
		copy(p.Head[24:], ip[8:24])
	default:
		return
	}
	l4 := p.Head[len(p.Head)-header.TCPMinimumSize:]
	copy(l4, tcp[2:4])
	copy(l4[2:], tcp[:2])
	l4[header.TCPDataOffset] = header.TCPMinimumSize / 4 << 4
	e.forwarded.add(e.hasher.Hash(&p))
}
