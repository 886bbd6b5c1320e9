// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import "gvisor.dev/gvisor/pkg/tcpip/stack"

const (
	// arenaSize is how many bytes of a batch are copied; beyond it packets are
	// queued by reference.
	arenaSize = 512 << 10
	// worthCopying is the least size of a packet that is copied: a pure ACK
	// is not going to merge.
	worthCopying = 512
)

// arena holds copies of queued packets. The views of the packet are released at
// once, on the processor and in the cache where the lower link takes those of its
// next one, and the worker finds the bytes contiguous. That costs less than passing
// a cut-up packet from processor to processor, and its views back through the pools.
//
// A copy is one too many for a packet that leaves alone. So there are copies only
// while batches merge.
type arena struct {
	buf []byte
}

// add returns a copy of pkt, of size bytes, or nil if there is no room or no sense
// in it.
func (a *arena) add(pkt *stack.PacketBuffer, size int) []byte {
	if size < worthCopying || len(a.buf)+size > arenaSize {
		return nil
	}
	if a.buf == nil {
		a.buf = make([]byte, 0, arenaSize)
	}
	at := len(a.buf)
	views, off := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		skip := min(off, len(b))
		off -= skip
		a.buf = append(a.buf, b[skip:]...)
	}
	return a.buf[at:len(a.buf):len(a.buf)]
}

// reset makes room again. Nobody may be using the copies any more.
func (a *arena) reset() { a.buf = a.buf[:0] }
