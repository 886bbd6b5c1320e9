// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/gate"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
)

// patience is how long a deliverer waits for a worker that delivers nothing. A
// link that delivers from within WritePackets can make a worker wait for itself.
const patience = 10 * time.Millisecond

// shard is the queue of one worker, by NAPI's rule: the worker takes all that is
// there, delivers it as one batch, and looks again.
type shard struct {
	mu      sync.Mutex
	filled  sync.Cond // on mu: the queue is no longer empty, or stopped
	room    gate.Gate // under mu
	queue   []item
	copies  arena // of packets in queue
	merging bool  // most of the last batch merged
	bytes   int
	started bool
	stopped bool
	idle    bool // the worker waits on filled
}

func newAttachment(e *Endpoint) *attachment {
	a := &attachment{shards: make([]shard, e.cfg.Workers)}
	for i := range a.shards {
		a.shards[i].filled.L = &a.shards[i].mu
	}
	return a
}

// stop tells the workers to leave, wakes who waits for room, and releases what is
// queued. A delivery under way goes on; nothing follows it.
func (a *attachment) stop(e *Endpoint) {
	a.stopped.Store(true)
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		s.stopped = true
		queue := s.queue
		s.queue, s.bytes = nil, 0
		s.room.Open()
		s.filled.Signal()
		s.mu.Unlock()
		for _, it := range queue {
			it.release()
		}
		e.stats.dropDetached(len(queue))
	}
}

// shardOf chooses by addresses, protocol and ports.
func (a *attachment) shardOf(e *Endpoint, protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) *shard {
	if len(a.shards) == 1 {
		return &a.shards[0]
	}
	p := coalesce.Packet{LinkHdrLen: len(pkt.LinkHeader().Slice()), Protocol: protocol}
	views, off := pkt.AsViewList()
	if v := views.Front(); v != nil && off < v.Size() {
		p.Head = v.AsSlice()[off:]
	}
	if len(p.Head) < pkt.Size() && !holdsHeaders(p.Head, vlan.NetworkOffset(protocol, p.LinkHdrLen)) {
		b := e.batches.Get().(*batch)
		defer e.batches.Put(b)
		defer b.finish()
		p.Head, _ = b.split(protocol, pkt)
	}
	return &a.shards[e.hasher.Hash(&p)%uint64(len(a.shards))]
}

// push queues pkt, of which it takes a reference or a copy, or drops it where the queue
// stays full.
func (s *shard) push(e *Endpoint, a *attachment, protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	size := pkt.Size()
	s.mu.Lock()
	for !s.stopped && s.full(&e.cfg, size) {
		if !s.room.Wait(&s.mu, patience) {
			s.mu.Unlock()
			e.stats.dropQueueFull()
			return
		}
	}
	if s.stopped {
		s.mu.Unlock()
		e.stats.dropDetached(1)
		return
	}
	s.queue = append(s.queue, s.newItem(protocol, pkt, size))
	s.bytes += size
	if !s.started {
		s.started = true
		e.workers.Add(1)
		go s.work(e, a)
	}
	wake := s.idle
	s.idle = false
	s.mu.Unlock()
	if wake {
		s.filled.Signal() // outside the lock, which the worker takes first
	}
}

// full reports whether size more bytes are too many. An empty queue takes any
// packet.
func (s *shard) full(cfg *Config, size int) bool {
	return len(s.queue) >= cfg.QueuePackets || s.bytes > 0 && s.bytes+size > cfg.QueueBytes
}

// work is the worker: it ends with the attachment.
func (s *shard) work(e *Endpoint, a *attachment) {
	defer e.workers.Done()
	b := newBatch(e)
	b.progress = s.room.Progress
	var items []item
	var copies arena
	merging := false
	for {
		s.mu.Lock()
		s.merging = merging
		for len(s.queue) == 0 && !s.stopped {
			s.idle = true
			s.filled.Wait()
		}
		if s.stopped {
			s.mu.Unlock()
			return
		}
		items, s.queue = s.queue, items[:0]
		copies.reset()
		copies, s.copies = s.copies, copies
		s.bytes = 0
		s.room.Open()
		s.mu.Unlock()
		if len(items) == 1 {
			a.deliverItem(e, &items[0])
			s.room.Progress()
			items[0].release()
		} else {
			merging = b.deliverQueued(a, items)
		}
	}
}
