// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
)

// contiguousHead is how many bytes a view must hold to be taken for the place of
// all headers: Ethernet, a VLAN tag, IPv6, and TCP with 40 bytes of options
// come to 118. Longer chains of headers lie in one view or are gathered.
const contiguousHead = 118

// gatheredHead is how many bytes are gathered where they are not contiguous.
const gatheredHead = 512

// split returns the packet's bytes as coalesce.Packet wants them, without
// changing the packet.
func (b *batch) split(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) (head []byte, tail [][]byte) {
	views, off := pkt.AsViewList()
	v := views.Front()
	for v != nil && off >= v.Size() {
		off -= v.Size()
		v = v.Next()
	}
	if v == nil {
		return nil, nil
	}
	head = v.AsSlice()[off:]
	v = v.Next()
	if v == nil {
		return head, nil
	}
	first := len(b.tails)
	if holdsHeaders(head, vlan.NetworkOffset(protocol, len(pkt.LinkHeader().Slice()))) {
		for ; v != nil; v = v.Next() {
			b.tails = append(b.tails, v.AsSlice())
		}
		return head, b.tails[first:len(b.tails):len(b.tails)]
	}
	at := len(b.heads)
	b.heads = append(b.heads, head...)
	for ; v != nil; v = v.Next() {
		s := v.AsSlice()
		n := min(len(s), max(0, gatheredHead-(len(b.heads)-at)))
		b.heads = append(b.heads, s[:n]...)
		if n < len(s) {
			b.tails = append(b.tails, s[n:])
		}
	}
	return b.heads[at:len(b.heads):len(b.heads)], b.tails[first:len(b.tails):len(b.tails)]
}

// holdsHeaders reports whether head, a packet's first view, can be taken to hold
// all headers: it is long enough, and no IPv6 extension headers follow the IP
// header at net.
func holdsHeaders(head []byte, net int) bool {
	if len(head) < contiguousHead || net+header.IPv6MinimumSize > len(head) {
		return false
	}
	if head[net]>>4 != 6 {
		return true
	}
	next := head[net+6]
	return next == uint8(header.TCPProtocolNumber) || next == uint8(header.UDPProtocolNumber)
}
