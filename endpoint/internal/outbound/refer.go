// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package outbound

import "gvisor.dev/gvisor/pkg/tcpip/stack"

// HeaderLen is the number of bytes that Refer writes: 0 for a packet that is sent
// as it is.
func (p *Packet) HeaderLen() int {
	if p.seg.Segments() == 0 {
		return 0
	}
	return p.seg.HeaderLen()
}

// Refer writes the headers of the next packet to hdr, which must have HeaderLen
// bytes, and appends the parts of what follows them to parts: bytes of the
// PacketBuffer, by reference. It may be called where NextLen is not 0.
func (p *Packet) Refer(hdr []byte, parts [][]byte) [][]byte {
	i := p.next
	p.next++
	n := p.pkt.Size()
	if p.seg.Segments() > 0 {
		_, n = p.seg.Payload(i)
		payload := p.cursor
		p.seg.PutHeader(hdr, i, payload.sum(n))
	}
	p.cursor.each(n, func(b []byte) { parts = append(parts, b) })
	return parts
}

// Whole appends the parts of all of pkt to parts, by reference.
func Whole(pkt *stack.PacketBuffer, parts [][]byte) [][]byte {
	c := startOf(pkt)
	c.each(pkt.Size(), func(b []byte) { parts = append(parts, b) })
	return parts
}
