// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// item is a queued packet: a reference to it, or a copy of its bytes in an arena.
type item struct {
	protocol   tcpip.NetworkProtocolNumber
	linkHdrLen int
	pkt        *stack.PacketBuffer // nil where data is not
	data       []byte
	note       note
}

// note is what a link notes of a packet beside its bytes.
type note struct {
	pktType tcpip.PacketType
	hash    uint32
}

// dress gives it to pkt, which was made from the packet's bytes.
func (n note) dress(pkt *stack.PacketBuffer) *stack.PacketBuffer {
	pkt.PktType, pkt.Hash = n.pktType, n.hash
	return pkt
}

// describe returns an item for pkt that holds neither a reference nor a copy yet.
func describe(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) item {
	return item{
		protocol:   protocol,
		linkHdrLen: len(pkt.LinkHeader().Slice()),
		note:       note{pkt.PktType, pkt.Hash},
	}
}

// newItem returns the item for pkt, of size bytes, which stays the caller's. It is
// called with s.mu held.
func (s *shard) newItem(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, size int) item {
	it := describe(protocol, pkt)
	if s.merging && pkt.GSOOptions.Type == stack.GSONone {
		it.data = s.copies.add(pkt, size)
	}
	if it.data == nil {
		it.pkt = pkt.IncRef()
	}
	return it
}

// isLarge reports whether pkt is more than a wire with that MTU carries: a
// super-packet of a host.
func isLarge(pkt *stack.PacketBuffer, mtu uint32) bool {
	return pkt.GSOOptions.Type != stack.GSONone || pkt.Size()-len(pkt.LinkHeader().Slice()) > int(mtu)
}

func (it *item) isLarge(mtu uint32) bool {
	if it.pkt == nil {
		return len(it.data)-it.linkHdrLen > int(mtu)
	}
	return isLarge(it.pkt, mtu)
}

// packet returns the packet as it came, with a reference for the caller.
func (it *item) packet() *stack.PacketBuffer {
	if it.pkt != nil {
		return it.pkt.IncRef()
	}
	return it.note.dress(newPacket(buffer.MakeWithData(it.data), it.linkHdrLen))
}

// release gives up what the item holds.
func (it *item) release() {
	if it.pkt != nil {
		it.pkt.DecRef()
	}
	*it = item{}
}
