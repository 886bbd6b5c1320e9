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
	pktType    tcpip.PacketType
	hash       uint32
}

// newItem returns the item for pkt, of size bytes, which stays the caller's. It is
// called with s.mu held.
func (s *shard) newItem(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, size int) item {
	it := item{
		protocol:   protocol,
		linkHdrLen: len(pkt.LinkHeader().Slice()),
		pktType:    pkt.PktType,
		hash:       pkt.Hash,
	}
	if s.merging {
		it.data = s.copies.add(pkt, size)
	}
	if it.data == nil {
		it.pkt = pkt.IncRef()
	}
	return it
}

// packet returns the packet as it came, with a reference for the caller.
func (it *item) packet() *stack.PacketBuffer {
	if it.pkt != nil {
		return it.pkt.IncRef()
	}
	return it.dress(newPacket(buffer.MakeWithData(it.data), it.linkHdrLen))
}

// dress gives pkt, made from the item's bytes, what the lower link noted beside
// them.
func (it *item) dress(pkt *stack.PacketBuffer) *stack.PacketBuffer {
	pkt.PktType, pkt.Hash = it.pktType, it.hash
	return pkt
}

// release gives up what the item holds.
func (it *item) release() {
	if it.pkt != nil {
		it.pkt.DecRef()
	}
	*it = item{}
}
