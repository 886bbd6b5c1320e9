// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/inbound"
)

// apartFrom is the size from which a frame's headers get a view of their own: a
// view of both is cloned whole whenever netstack pulls headers up out of a buffer
// that is shared.
const apartFrom = 4 << 10

// headSize is what goes into the first view: at least the headers of all but
// exotic packets, and of the payload no more than that leaves.
const headSize = contiguousHead

// isLarge reports whether the frame is more than a wire with that MTU carries: a
// super-packet of the host.
func (f *Frame) isLarge(mtu uint32) bool {
	return f.GSOSize != 0 || f.GSOType != stack.GSONone || len(f.Data)-f.LinkHdrLen > int(mtu)
}

// isUDP reports whether the frame is labelled as a UDP super-packet.
func (f *Frame) isUDP() bool { return f.GSOSize != 0 && f.GSOType == stack.GSONone }

// note is what the frame says beside its bytes.
func (f *Frame) note() note { return note{pktType: f.PktType} }

// packet returns a PacketBuffer with a copy of the frame, or with its view. finish
// says whether a partial checksum is finished in it.
func (f *Frame) packet(finish bool) *stack.PacketBuffer {
	n := len(f.Data)
	if n >= apartFrom {
		n = f.headerLen()
	}
	head := buffer.NewViewWithData(f.Data[:n])
	if finish && f.Checksum == ChecksumPartial {
		inbound.FinishChecksum(head.AsSlice(), f.Data, int(f.ChecksumStart), int(f.ChecksumOffset))
	}
	all := buffer.MakeWithView(head)
	if n < len(f.Data) {
		rest := buffer.MakeWithView(f.rest(n))
		all.Merge(&rest) // not Append: that would copy into what room head has
	}
	return f.note().dress(newPacket(all, f.LinkHdrLen))
}

// rest returns what follows the first n bytes: in the frame's own view, if it has
// one, which is then no longer the frame's.
func (f *Frame) rest(n int) *buffer.View {
	v := f.View
	if v == nil {
		return buffer.NewViewWithData(f.Data[n:])
	}
	f.View = nil
	v.TrimFront(n)
	return v
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
