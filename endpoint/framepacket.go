// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// apartFrom is the size from which a frame's headers get a view of their own: a
// view of both is cloned whole whenever netstack pulls headers up out of a buffer
// that is shared.
const apartFrom = 4 << 10

// headSize is what goes into the first view: at least the headers of all but
// exotic packets, and of the payload no more than that leaves.
const headSize = contiguousHead

// packet returns a PacketBuffer with a copy of the frame. t is whom it is for.
func (f *Frame) packet(e *Endpoint, t *target) *stack.PacketBuffer {
	n := len(f.Data)
	if n >= apartFrom {
		n = f.headerLen()
	}
	head := buffer.NewViewWithData(f.Data[:n])
	if f.unfinished(e, t) {
		f.finishChecksum(head.AsSlice())
	}
	all := buffer.MakeWithView(head)
	if n < len(f.Data) {
		rest := buffer.MakeWithView(buffer.NewViewWithData(f.Data[n:]))
		all.Merge(&rest) // not Append: that would copy into what room head has
	}
	return newPacket(all, f.LinkHdrLen)
}

// headerLen is the length of the headers of a large frame, or a guess at it that
// is long enough to hold them.
func (f *Frame) headerLen() int {
	n := max(headSize, f.LinkHdrLen)
	if f.GSOType == stack.GSONone || f.Checksum != ChecksumPartial {
		return max(n, min(len(f.Data), int(f.ChecksumStart)+int(f.ChecksumOffset)+checksum.Size))
	}
	tcp := int(f.ChecksumStart)
	if tcp+header.TCPMinimumSize > len(f.Data) {
		return n
	}
	return min(len(f.Data), tcp+max(header.TCPMinimumSize, int(f.Data[tcp+header.TCPDataOffset]>>4)*4))
}

// unfinished reports whether the frame's checksum has to be finished. What ends
// here over a link that vouches is looked at by nobody.
func (f *Frame) unfinished(e *Endpoint, t *target) bool {
	if f.Checksum != ChecksumPartial {
		return false
	}
	if !e.vouched() {
		return true
	}
	dst := f.destination()
	return dst == nil || !t.endsHere(f.Protocol, dst)
}

// destination is the frame's destination address, nil where there is none to be
// seen.
func (f *Frame) destination() []byte {
	ip := f.Data[min(f.LinkHdrLen, len(f.Data)):]
	switch {
	case f.Protocol == header.IPv4ProtocolNumber && len(ip) >= header.IPv4MinimumSize:
		return header.IPv4(ip).DestinationAddressSlice()
	case f.Protocol == header.IPv6ProtocolNumber && len(ip) >= header.IPv6MinimumSize:
		return header.IPv6(ip).DestinationAddressSlice()
	}
	return nil
}

// finishChecksum does in head, the copy of the frame's first bytes, what its
// sender left to a device. A place outside the frame is left alone: the stack will
// find the checksum wrong.
func (f *Frame) finishChecksum(head []byte) {
	start := int(f.ChecksumStart)
	at := start + int(f.ChecksumOffset)
	if at+checksum.Size > len(head) {
		return
	}
	sum := ^checksum.Checksum(f.Data[start:], 0)
	if sum == 0 {
		sum = 0xffff // RFC 768: zero means none; in TCP both say the same
	}
	checksum.Put(head[at:], sum)
}

// endsHere reports whether packets to dst are for this stack. While spoofing, a
// NIC says yes to every address, which then means nothing.
func (t *target) endsHere(protocol tcpip.NetworkProtocolNumber, dst []byte) bool {
	switch {
	case t.nic == nil:
		return false
	case t.nic.Promiscuous():
		return true
	case t.nic.Spoofing():
		return false
	}
	return t.nic.CheckLocalAddress(protocol, tcpip.AddrFromSlice(dst))
}
