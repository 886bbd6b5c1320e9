// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/inbound"
)

// maxBatch bounds how many packets are looked at before the oldest is delivered.
const maxBatch = 1024

// batch takes the packets of one batch, borrowed frames or queued PacketBuffers,
// through the coalescer and up. One goroutine uses it at a time.
type batch struct {
	e      *Endpoint
	table  *coalesce.Table
	target *target
	judge  judge
	// mergedFor is the target for which runs were merged: another may have
	// taken its place since.
	mergedFor *target
	mtu       uint32
	count     inboundCounts
	pkt       coalesce.Packet // reused: Add wants a pointer

	progress func() // told of every delivery; nil if nobody waits for them

	heads []byte   // headers of queued packets, where no view holds them all
	tails [][]byte // the other views of queued packets

	cut    inbound.Splitter
	gather []byte // a queued packet to be split
}

func newBatch(e *Endpoint) *batch {
	b := &batch{e: e, judge: judge{e: e}}
	b.table = coalesce.New(&coalesce.Config{MaxPackets: maxBatch, EndsHere: b.mayMerge})
	return b
}

// begin makes the batch ready for packets that are for t.
func (b *batch) begin(t *target) {
	b.target = t
	b.judge.sit(t)
	b.mtu = b.e.MTU()
}

// follow notices that another dispatcher has taken the place of the one that the
// batch is for: what has not left yet is for the new one, by its rule.
func (b *batch) follow(a *attachment) {
	if t := a.target.Load(); t != b.target {
		b.begin(t)
	}
}

// mayMerge reports whether packets to dst may be merged.
func (b *batch) mayMerge(protocol tcpip.NetworkProtocolNumber, dst []byte) bool {
	return b.judge.endsHere(protocol, dst) || b.forwardsMerged()
}

// DeliverFrames implements FrameDispatcher.
func (e *Endpoint) DeliverFrames(frames []Frame) {
	a := e.current.Load()
	if a == nil {
		e.stats.dropDetached(len(frames))
		return
	}
	if len(frames) == 1 || e.through || e.cfg.DisableCoalescing {
		for i := range frames {
			a.deliverFrame(e, &frames[i])
		}
		return
	}
	b := e.batches.Get().(*batch)
	b.begin(a.target.Load())
	b.mergedFor = b.target
	vouched := e.vouched() && !b.forwardsMerged()
	for i := range frames {
		f := &frames[i]
		b.pkt = f.describe(i)
		b.pkt.Vouched = vouched || f.Checksum == ChecksumVerified
		b.pkt.Exclude = f.GSOType != stack.GSONone || f.GSOSize != 0 || f.Checksum == ChecksumPartial
		if b.table.Full() {
			b.popFrame(a, frames)
		}
		b.add()
	}
	for b.popFrame(a, frames) {
	}
	b.finish()
	e.batches.Put(b)
}

// add gives b.pkt to the coalescer.
func (b *batch) add() {
	b.count.packets++
	if !b.pkt.Exclude && b.judge.goesOn(&b.pkt) {
		b.pkt.Exclude = true
		if v := b.table.Add(&b.pkt); v != coalesce.Excluded {
			b.count.verdicts[v]++
		} else {
			b.count.verdicts[coalesce.NotLocal]++
		}
		return
	}
	b.count.verdicts[b.table.Add(&b.pkt)]++
}

// vouched reports whether the link answers for all transport checksums.
func (e *Endpoint) vouched() bool {
	return e.Capabilities()&stack.CapabilityRXChecksumOffload != 0
}

// popFrame delivers the oldest run, if there is one.
func (b *batch) popFrame(a *attachment, frames []Frame) bool {
	r := b.table.Pop()
	if r == nil {
		return false
	}
	b.follow(a)
	f := &frames[r.ID]
	if r.Count > 1 {
		head := f.describe(0)
		b.deliverRun(a, r, &head, f.note())
	} else {
		b.deliverFrame(a, f)
	}
	return true
}

// newPacket returns an inbound packet of data, the first n bytes of which are
// the link header.
func newPacket(data buffer.Buffer, n int) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: data})
	if n > 0 {
		pkt.LinkHeader().Consume(n)
	}
	return pkt
}

// merged returns a PacketBuffer of a run: the headers in one view and the
// payload in another. A view of both would be cloned whole whenever netstack
// pulls headers up out of a buffer that is shared.
func (b *batch) merged(r *coalesce.Run) *stack.PacketBuffer {
	headers, payload := buffer.NewViewSize(r.HeaderLen), buffer.NewViewSize(r.PayloadLen)
	r.PutHeader(headers.AsSlice())
	r.CopyPayload(payload.AsSlice())
	data, rest := buffer.MakeWithView(headers), buffer.MakeWithView(payload)
	data.Merge(&rest)
	b.count.mergedInto++
	return newPacket(data, r.LinkHdrLen)
}

// deliver hands pkt to the stack, unless it was detached meanwhile, and releases
// it.
func (b *batch) deliver(a *attachment, protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	defer pkt.DecRef()
	if a.stopped.Load() {
		b.count.droppedDetached++
		return
	}
	b.count.delivered++
	pkt.NetworkProtocolNumber = protocol
	b.target.DeliverNetworkPacket(protocol, pkt)
	if b.progress != nil {
		b.progress()
	}
}

// finish makes the batch ready for the next and its counts visible.
func (b *batch) finish() {
	b.e.stats.addInbound(&b.count)
	b.count = inboundCounts{}
	b.target, b.mergedFor = nil, nil
	b.judge.sit(nil)
	b.cut.Drop()
	b.pkt = coalesce.Packet{}
	b.heads = b.heads[:0]
	clear(b.tails)
	b.tails = b.tails[:0]
}

// deliverQueued takes one batch of queued packets up and releases them. It reports
// whether most of them merged.
func (b *batch) deliverQueued(a *attachment, items []item) (merging bool) {
	b.begin(a.target.Load())
	b.mergedFor = b.target
	vouched := b.e.vouched() && !b.forwardsMerged()
	for i := range items {
		it := &items[i]
		b.pkt = b.describe(it)
		b.pkt.Vouched, b.pkt.ID = vouched, i
		b.pkt.Exclude = it.pkt != nil && it.pkt.GSOOptions.Type != stack.GSONone
		if b.table.Full() {
			b.popQueued(a, items)
		}
		b.add()
	}
	for b.popQueued(a, items) {
	}
	for i := range items {
		items[i].release()
	}
	merging = 2*b.count.delivered < b.count.packets
	b.finish()
	return merging
}

// popQueued delivers the oldest run, if there is one.
func (b *batch) popQueued(a *attachment, items []item) bool {
	r := b.table.Pop()
	if r == nil {
		return false
	}
	b.follow(a)
	it := &items[r.ID]
	if r.Count > 1 {
		head := b.describe(it)
		b.deliverRun(a, r, &head, it.note)
	} else {
		b.deliverItem(a, it)
	}
	return true
}
