// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
)

// maxBatch bounds how many packets are looked at before the oldest is delivered.
const maxBatch = 1024

// batch takes the packets of one batch, borrowed frames or queued PacketBuffers,
// through the coalescer and up. One goroutine uses it at a time.
type batch struct {
	e      *Endpoint
	table  *coalesce.Table
	target *target
	count  inboundCounts
	pkt    coalesce.Packet // reused: Add wants a pointer

	progress func() // told of every delivery; nil if nobody waits for them

	heads []byte   // headers of queued packets, where no view holds them all
	tails [][]byte // the other views of queued packets
}

func newBatch(e *Endpoint) *batch {
	b := &batch{e: e}
	b.table = coalesce.New(&coalesce.Config{MaxPackets: maxBatch, EndsHere: b.endsHere})
	return b
}

// endsHere reports whether packets to dst are for the stack that the batch is for.
func (b *batch) endsHere(protocol tcpip.NetworkProtocolNumber, dst []byte) bool {
	return b.target.endsHere(protocol, dst)
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
			a.deliverAlone(e, frames[i].Protocol, frames[i].packet(e, a.target.Load()))
		}
		return
	}
	b := e.batches.Get().(*batch)
	b.target = a.target.Load()
	vouched := e.vouched()
	for i := range frames {
		f := &frames[i]
		b.count.packets++
		b.pkt = coalesce.Packet{
			Head:       f.Data,
			LinkHdrLen: f.LinkHdrLen,
			Protocol:   f.Protocol,
			Vouched:    vouched || f.Checksum == ChecksumVerified,
			Exclude:    f.GSOType != stack.GSONone || f.Checksum == ChecksumPartial,
			ID:         i,
		}
		if b.table.Full() {
			b.popFrame(a, frames)
		}
		b.count.verdicts[b.table.Add(&b.pkt)]++
	}
	for b.popFrame(a, frames) {
	}
	b.finish()
	e.batches.Put(b)
}

// deliverAlone hands up a packet that there is nothing to merge with, and releases
// it.
func (a *attachment) deliverAlone(e *Endpoint, protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	defer pkt.DecRef()
	if a.stopped.Load() {
		e.stats.dropDetached(1)
		return
	}
	e.stats.addAlone()
	pkt.NetworkProtocolNumber = protocol
	a.target.Load().DeliverNetworkPacket(protocol, pkt)
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
	f := &frames[r.ID]
	if r.Count > 1 {
		b.deliver(a, f.Protocol, b.merged(r))
	} else {
		b.deliver(a, f.Protocol, f.packet(b.e, b.target))
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
	b.target = nil
	b.pkt = coalesce.Packet{}
	b.heads = b.heads[:0]
	clear(b.tails)
	b.tails = b.tails[:0]
}

// deliverQueued takes one batch of queued packets up and releases them. It reports
// whether most of them merged.
func (b *batch) deliverQueued(a *attachment, items []item) (merging bool) {
	b.target = a.target.Load()
	vouched := b.e.vouched()
	for i := range items {
		it := &items[i]
		b.count.packets++
		b.pkt = coalesce.Packet{
			Head:       it.data,
			LinkHdrLen: it.linkHdrLen,
			Protocol:   it.protocol,
			Vouched:    vouched,
			ID:         i,
		}
		if it.pkt != nil {
			b.pkt.Head, b.pkt.Tail = b.split(it.protocol, it.pkt)
		}
		if b.table.Full() {
			b.popQueued(a, items)
		}
		b.count.verdicts[b.table.Add(&b.pkt)]++
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
	it := &items[r.ID]
	if r.Count > 1 {
		b.deliver(a, it.protocol, it.dress(b.merged(r)))
	} else {
		b.deliver(a, it.protocol, it.packet())
	}
	return true
}

const (
	ethertypeVLAN = 0x8100
	vlanTagLen    = 4
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
	if holdsHeaders(head, networkOffset(protocol, pkt)) {
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

// networkOffset is where the packet's IP header begins: behind a VLAN tag if it
// has one.
func networkOffset(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) int {
	n := len(pkt.LinkHeader().Slice())
	if protocol == ethertypeVLAN {
		n += vlanTagLen
	}
	return n
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
