// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
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

// isLarge reports whether the frame is more than a wire with that MTU carries: a
// super-packet of the host.
func (f *Frame) isLarge(mtu uint32) bool {
	return f.GSOSize != 0 || f.GSOType != stack.GSONone || len(f.Data)-f.LinkHdrLen > int(mtu)
}

// isUDP reports whether the frame is labelled as a UDP super-packet.
func (f *Frame) isUDP() bool { return f.GSOSize != 0 && f.GSOType == stack.GSONone }

// packet returns a PacketBuffer with a copy of the frame. finish says whether a
// partial checksum is finished in it.
func (f *Frame) packet(finish bool) *stack.PacketBuffer {
	n := len(f.Data)
	if n >= apartFrom {
		n = f.headerLen()
	}
	head := buffer.NewViewWithData(f.Data[:n])
	if finish && f.Checksum == ChecksumPartial {
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
