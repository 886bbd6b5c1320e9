// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink

import (
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/gate"
)

const (
	// patience is how long a sender waits without any Read before the link
	// counts as stalled.
	patience = 100 * time.Millisecond

	// Beyond the bound, a reserve for packets that must not wait.
	reservePackets = 64
	reserveBytes   = 128 << 10
)

// queue is what the stack has sent and nobody has read.
type queue struct {
	mu       sync.Mutex
	filled   sync.Cond // on mu: no longer empty, or closed
	room     gate.Gate // under mu
	pkts     []*stack.PacketBuffer
	first    int // in pkts, of those that wait
	bytes    int
	maxPkts  int
	maxBytes int
	readers  int  // waiting on filled
	stalled  bool // nobody reads
	attached bool
	closed   bool

	queued, droppedFull, droppedDetached uint64

	waiting atomic.Int32 // packets in pkts from first on; written under mu
}

func (q *queue) init(packets, bytes int) {
	q.filled.L = &q.mu
	q.maxPkts, q.maxBytes = packets, bytes
	if q.maxPkts <= 0 {
		q.maxPkts = defaultQueuePackets
	}
	if q.maxBytes <= 0 {
		q.maxBytes = defaultQueueBytes
	}
}

// WritePackets implements stack.LinkWriter. The Link takes references of its
// own. It returns how many packets were queued; the others were dropped and
// counted. See the package comment for when it waits.
func (l *Link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	for _, pkt := range pkts.AsSlice() {
		switch ok, err := l.queue.push(pkt); {
		case err != nil:
			return n, err
		case ok:
			n++
		}
	}
	return n, nil
}

// push queues pkt, and reports whether it did.
func (q *queue) push(pkt *stack.PacketBuffer) (bool, tcpip.Error) {
	q.mu.Lock()
	ok, err := q.pushLocked(pkt)
	wake := ok && q.readers > 0
	q.mu.Unlock()
	if wake {
		q.filled.Signal() // outside the lock, which the reader takes first
	}
	return ok, err
}

func (q *queue) pushLocked(pkt *stack.PacketBuffer) (bool, tcpip.Error) {
	size := pkt.Size()
	mayWait := pkt.GSOOptions.Type != stack.GSONone
	for q.attached && !q.closed && q.full(size, mayWait) {
		if !mayWait || q.stalled || !q.room.Wait(&q.mu, patience) {
			q.stalled = q.stalled || mayWait
			q.droppedFull++
			return false, nil
		}
	}
	if q.closed {
		return false, &tcpip.ErrClosedForSend{}
	}
	if !q.attached {
		q.droppedDetached++
		return false, nil
	}
	q.pkts = append(q.pkts, pkt.IncRef())
	q.bytes += size
	q.queued++
	q.waiting.Add(1)
	return true, nil
}

// full reports whether size more bytes are too many; an empty queue takes any
// packet.
func (q *queue) full(size int, mayWait bool) bool {
	packets, bytes := q.maxPkts, q.maxBytes
	if !mayWait {
		packets, bytes = packets+reservePackets, bytes+reserveBytes
	}
	n := len(q.pkts) - q.first
	return n >= packets || n > 0 && q.bytes+size > bytes
}

// wasRead notes a Read, which may have needed no packet of the queue.
func (q *queue) wasRead() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alive()
}

// alive tells those who wait, or would, that somebody reads. It is called with mu
// held.
func (q *queue) alive() {
	q.room.Progress()
	q.stalled = false
}

// pop removes the oldest packet, which becomes the caller's. If there is none it
// waits for one if it may, and otherwise returns nil.
func (q *queue) pop(wait bool) (*stack.PacketBuffer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alive()
	for q.first == len(q.pkts) && !q.closed {
		if !wait {
			return nil, nil
		}
		q.readers++
		q.filled.Wait()
		q.readers--
	}
	if q.closed {
		return nil, ErrClosed
	}
	pkt := q.pkts[q.first]
	q.pkts[q.first] = nil
	q.first++
	q.bytes -= pkt.Size()
	q.waiting.Add(-1)
	if q.first == len(q.pkts) || q.first >= q.maxPkts {
		n := copy(q.pkts, q.pkts[q.first:])
		clear(q.pkts[n:])
		q.pkts, q.first = q.pkts[:n], 0
	}
	q.room.Open()
	return pkt, nil
}

func (q *queue) setAttached(attached bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.attached = attached
	if !attached {
		q.droppedDetached += uint64(len(q.pkts) - q.first)
		q.release()
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.release()
	q.filled.Broadcast()
}

// release drops everything that waits and wakes who waits for room.
func (q *queue) release() {
	for _, pkt := range q.pkts[q.first:] {
		pkt.DecRef()
	}
	clear(q.pkts)
	q.pkts, q.first, q.bytes = q.pkts[:0], 0, 0
	q.waiting.Store(0)
	q.room.Open()
}

func (q *queue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{Queued: q.queued, DroppedFull: q.droppedFull, DroppedDetached: q.droppedDetached}
}
