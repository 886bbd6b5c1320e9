// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink

import (
	"fmt"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/outbound"
)

// reader is the reading side: what is left of the packet that Read was in.
type reader struct {
	mu  sync.Mutex // held throughout Read
	pkt *stack.PacketBuffer
	cut outbound.Packet

	// stacks counts those that have left; of is how many had when pkt came. What
	// is left of a packet goes with its stack.
	stacks atomic.Uint64
	of     uint64

	packets, unsplittable atomic.Uint64
}

// Read fills bufs with packets that the stack sends, each from offset on, and
// writes their lengths to sizes. It waits until there is at least one, takes
// what else is there, and returns how many buffers it filled. What did not fit
// into bufs comes with the next Read, and so does a packet that does not fit
// into its buffer: only if that is the first one, ErrShortBuffer is returned.
// Bytes of the buffers in front of offset are left alone.
//
// After Close it returns ErrClosed.
func (l *Link) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	switch {
	case len(bufs) == 0:
		return 0, fmt.Errorf("memlink: Read needs at least one buffer")
	case len(sizes) < len(bufs):
		return 0, fmt.Errorf("memlink: Read got %d buffers but %d sizes: give one size for each buffer", len(bufs), len(sizes))
	case offset < 0:
		return 0, fmt.Errorf("memlink: Read offset %d is negative", offset)
	}
	r := &l.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.dropStale()
	r.dropStale()
	if r.pkt != nil {
		l.queue.wasRead()
	}
	n := 0
	for n < len(bufs) {
		if r.pkt == nil {
			if n > 0 && l.queue.waiting.Load() == 0 {
				break // as pop would find, without its lock
			}
			if err := l.next(n == 0); err != nil {
				if n > 0 {
					break
				}
				return 0, err
			}
			if r.pkt == nil {
				break
			}
		}
		// A super-packet that would fit into one Read is not torn apart by
		// two: whoever merges it again does so batch by batch.
		if left := len(bufs) - n; r.cut.Left() > left && r.cut.Left() <= len(bufs) {
			break
		}
		size := r.cut.NextLen()
		if len(bufs[n])-size < offset { // the other way round offset+size may overflow
			if n == 0 {
				return 0, ErrShortBuffer
			}
			break
		}
		r.cut.Copy(bufs[n][offset : offset+size])
		sizes[n] = size
		n++
		if r.cut.NextLen() == 0 {
			r.release()
		}
	}
	r.packets.Add(uint64(n))
	return n, nil
}

// next makes the oldest packet of the queue that can be sent the reader's. If
// there is none it waits for one if it may, and otherwise leaves r.pkt nil. It is
// called with reader.mu held.
func (l *Link) next(wait bool) error {
	r := &l.reader
	for {
		pkt, err := l.queue.pop(wait)
		if pkt == nil {
			return err
		}
		r.pkt, r.of = pkt, r.stacks.Load()
		// The MTU may have changed while pop waited.
		if err := r.cut.Init(pkt, outbound.Link{MTU: l.MTU()}); err == nil {
			return nil
		}
		r.unsplittable.Add(1)
		r.release()
	}
}

func (r *reader) release() {
	r.cut.Drop()
	r.pkt.DecRef()
	r.pkt = nil
}

// dropStale releases what a Read has left over of a stack that is gone. It is
// called with mu held.
func (r *reader) dropStale() {
	if r.pkt != nil && r.of != r.stacks.Load() {
		r.release()
	}
}

// detach releases what a Read has left over, or has the Read that is under way do
// so: it waits for none.
func (r *reader) detach() {
	r.stacks.Add(1)
	if r.mu.TryLock() {
		r.dropStale()
		r.mu.Unlock()
	}
}

// drop releases what a Read has left over. The queue must be closed, so that no
// Read waits there with the lock held.
func (r *reader) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pkt != nil {
		r.release()
	}
}
