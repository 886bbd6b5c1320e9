// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
)

// target is the dispatcher of an attachment, which a bridge may exchange.
type target struct {
	stack.NetworkDispatcher
	nic nic // nil if the dispatcher is none
}

// nic is what tells a NIC from other dispatchers, and where packets end.
type nic interface {
	CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool
	Promiscuous() bool
	Spoofing() bool
}

func newTarget(d stack.NetworkDispatcher) *target {
	t := &target{NetworkDispatcher: d}
	t.nic, _ = d.(nic)
	return t
}

// judge says for the packets of one batch whether they end in the stack. What was
// found out about addresses is remembered for the batch only: addresses come and
// go. One goroutine uses it at a time.
type judge struct {
	e *Endpoint
	t *target

	batch  uint64
	recent [recentAnswers]answer // by a hash of the address
}

// recentAnswers is enough for the destinations that take turns in a batch.
const recentAnswers = 32

type answer struct {
	batch    uint64 // in which it was given
	protocol tcpip.NetworkProtocolNumber
	dst      tcpip.Address
	endsHere bool
}

// sit makes the judge ready for a batch to be delivered to t.
func (j *judge) sit(t *target) {
	j.t = t
	j.batch++
}

// endsHere reports whether packets to dst are for this stack, as far as the
// address tells; see also goesOn. A false answer is always safe.
func (j *judge) endsHere(protocol tcpip.NetworkProtocolNumber, dst []byte) bool {
	last := binary.BigEndian.Uint32(dst[len(dst)-4:])
	a := &j.recent[last*0x9e3779b1>>27] // Fibonacci hashing, to 5 bits
	d := tcpip.AddrFromSlice(dst)
	if a.batch != j.batch || a.dst != d || a.protocol != protocol {
		*a = answer{j.batch, protocol, d, j.ask(protocol, d)}
	}
	return a.endsHere
}

func (j *judge) ask(protocol tcpip.NetworkProtocolNumber, dst tcpip.Address) bool {
	// The stack may both keep and forward what is for a group.
	if header.IsV4MulticastAddress(dst) || header.IsV6MulticastAddress(dst) {
		return false
	}
	if j.e.cfg.EndsHere != nil {
		return j.e.cfg.EndsHere(protocol, dst)
	}
	switch {
	case j.t.nic == nil:
		return false
	case j.t.nic.Promiscuous():
		return true
	case j.t.nic.Spoofing(): // a NIC then says yes to every address
		return false
	}
	return j.t.nic.CheckLocalAddress(protocol, dst)
}

// goesOn reports whether the packet's flow is known to be forwarded although it
// may have an address of this stack: the stack translates addresses.
func (j *judge) goesOn(p *coalesce.Packet) bool {
	return j.e.forwarded.inUse() && j.e.forwarded.has(j.e.hasher.Hash(p))
}

// keeps reports whether the packet is for this stack, by all that is known of it.
func (j *judge) keeps(p *coalesce.Packet) bool {
	dst := destination(p)
	return dst != nil && j.endsHere(p.Protocol, dst) && !j.goesOn(p)
}

// destination is the packet's destination address, nil where there is none to be
// seen. Behind a VLAN tag nobody looks: a NIC does not take such frames.
func destination(p *coalesce.Packet) []byte {
	if p.LinkHdrLen < 0 || p.LinkHdrLen > len(p.Head) {
		return nil
	}
	ip := p.Head[p.LinkHdrLen:]
	switch {
	case p.Protocol == header.IPv4ProtocolNumber && len(ip) >= header.IPv4MinimumSize:
		return header.IPv4(ip).DestinationAddressSlice()
	case p.Protocol == header.IPv6ProtocolNumber && len(ip) >= header.IPv6MinimumSize:
		return header.IPv6(ip).DestinationAddressSlice()
	}
	return nil
}

// keepsGSO reports whether the gVisor that this is built with keeps a packet's
// GSOOptions when it forwards the packet. It is found out once, by having one
// copied.
var keepsGSO = sync.OnceValue(func() bool {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{})
	defer pkt.DecRef()
	pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, MSS: 1448}
	forwarded := pkt.DeepCopyForForwarding(0)
	defer forwarded.DecRef()
	return forwarded.GSOOptions == pkt.GSOOptions
})
