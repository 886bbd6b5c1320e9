// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/inbound"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
)

// describe tells the coalescer of the frame.
func (f *Frame) describe(id int) coalesce.Packet {
	return coalesce.Packet{Head: f.Data, LinkHdrLen: f.LinkHdrLen, Protocol: f.Protocol, ID: id}
}

// describe tells the coalescer of the item.
func (b *batch) describe(it *item) coalesce.Packet {
	p := coalesce.Packet{Head: it.data, LinkHdrLen: it.linkHdrLen, Protocol: it.protocol}
	if it.pkt != nil {
		p.Head, p.Tail = b.split(it.protocol, it.pkt)
	}
	return p
}

// deliverFrame hands up a frame that there is nothing to merge with.
func (a *attachment) deliverFrame(e *Endpoint, f *Frame) {
	t := a.target.Load()
	if e.through || !f.isLarge(e.MTU()) && f.Checksum != ChecksumPartial {
		a.deliverAlone(e, t, f.Protocol, f.packet(true))
		return
	}
	e.batchOfOne(t, func(b *batch) { b.deliverFrame(a, f) })
}

// deliverItem hands up an item that there is nothing to merge with. It stays the
// caller's to release.
func (a *attachment) deliverItem(e *Endpoint, it *item) {
	t := a.target.Load()
	if !it.isLarge(e.MTU()) {
		a.deliverAlone(e, t, it.protocol, it.packet())
		return
	}
	e.batchOfOne(t, func(b *batch) { b.deliverItem(a, it) })
}

// batchOfOne has deliver hand up one packet that has to be looked at.
func (e *Endpoint) batchOfOne(t *target, deliver func(*batch)) {
	b := e.batches.Get().(*batch)
	b.begin(t)
	b.count.packets, b.count.alone = 1, 1
	deliver(b)
	b.finish()
	e.batches.Put(b)
}

// deliverAlone hands up a packet that nobody has to look at, and releases it.
func (a *attachment) deliverAlone(e *Endpoint, t *target, protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	defer pkt.DecRef()
	if a.stopped.Load() {
		e.stats.dropDetached(1)
		return
	}
	e.stats.addAlone()
	pkt.NetworkProtocolNumber = protocol
	t.DeliverNetworkPacket(protocol, pkt)
}

// deliverFrame hands up a frame that merged with nothing: as it came, or split if
// it is a super-packet that the stack would not take.
func (b *batch) deliverFrame(a *attachment, f *Frame) {
	vouched := b.e.vouched()
	large := f.isLarge(b.mtu)
	if !large && (f.Checksum != ChecksumPartial || !vouched) {
		b.deliver(a, f.Protocol, f.packet(true))
		return
	}
	p := f.describe(0)
	keeps := b.judge.keeps(&p)
	if large && (!keeps || f.isUDP()) {
		in := inbound.Packet{
			Data: f.Data, LinkHdrLen: vlan.NetworkOffset(f.Protocol, f.LinkHdrLen),
			SegmentSize: int(f.GSOSize), MTU: int(b.mtu),
			Partial: f.Checksum == ChecksumPartial,
			Trusted: vouched || f.Checksum == ChecksumVerified,
		}
		switch done, err := b.divide(a, &in, &p, f.note()); {
		case done:
			return
		case err != nil && f.isUDP(): // a socket would take it for one datagram
			b.count.droppedUDP++
			return
		}
	}
	// What ends here over a link that vouches is looked at by nobody.
	b.deliver(a, f.Protocol, f.packet(!vouched || !keeps))
}

// deliverItem does the same with a packet that was queued.
func (b *batch) deliverItem(a *attachment, it *item) {
	if it.isLarge(b.mtu) {
		p := b.describe(it)
		if !b.judge.keeps(&p) {
			in := inbound.Packet{
				Data: b.contiguous(&p), LinkHdrLen: vlan.NetworkOffset(it.protocol, it.linkHdrLen),
				MTU: int(b.mtu), Trusted: b.e.vouched(),
			}
			if it.pkt != nil && it.pkt.GSOOptions.Type != stack.GSONone {
				in.SegmentSize, in.Partial = int(it.pkt.GSOOptions.MSS), it.pkt.GSOOptions.NeedsCsum
			}
			if done, _ := b.divide(a, &in, &p, it.note); done {
				return
			}
		}
	}
	b.deliver(a, it.protocol, it.packet())
}

// contiguous returns all bytes of p, in memory of the batch if they are not in one
// piece already.
func (b *batch) contiguous(p *coalesce.Packet) []byte {
	if len(p.Tail) == 0 {
		return p.Head
	}
	b.gather = append(b.gather[:0], p.Head...)
	for _, t := range p.Tail {
		b.gather = append(b.gather, t...)
	}
	return b.gather
}

// divide delivers the packets that p, which in describes too and of which the link
// noted that, becomes, or drops p if they are too many, and reports whether it did:
// it does not with an error, nor where p is to be taken as it is.
func (b *batch) divide(a *attachment, in *inbound.Packet, p *coalesce.Packet, noted note) (done bool, err error) {
	n, err := b.cut.Init(in)
	switch {
	case err == inbound.ErrSegments:
		b.count.droppedSegments++
		return true, nil
	case err != nil || n == 0:
		return false, err
	}
	if n > 1 {
		b.count.split++
		b.count.segments += uint64(n)
	}
	for i := range n {
		v := buffer.NewViewSize(b.cut.Len(i))
		b.cut.Put(v.AsSlice(), i)
		b.deliver(a, p.Protocol, noted.dress(newPacket(buffer.MakeWithView(v), p.LinkHdrLen)))
	}
	return true, nil
}

// forwardsMerged reports whether what the stack forwards may be merged.
func (b *batch) forwardsMerged() bool {
	return b.e.cfg.ForwardMerged && b.target.nic != nil && keepsGSO()
}

// deliverRun hands up a merged run; p is its first packet, of which the link noted
// that.
func (b *batch) deliverRun(a *attachment, r *coalesce.Run, p *coalesce.Packet, noted note) {
	pkt := noted.dress(b.merged(r))
	switch {
	case b.target == b.mergedFor && !b.forwardsMerged() || b.judge.keeps(p):
		b.deliver(a, p.Protocol, pkt)
	case b.forwardsMerged() && !r.FixedID:
		pkt.GSOOptions = gsoOptions(p, r)
		b.deliver(a, p.Protocol, pkt)
	default:
		// The NIC has joined a bridge meanwhile, or GSOOptions cannot say that
		// all IDs are the same.
		b.count.mergedInto--
		view := pkt.ToView()
		pkt.DecRef()
		in := inbound.Packet{
			Data: view.AsSlice(), LinkHdrLen: vlan.NetworkOffset(p.Protocol, p.LinkHdrLen),
			SegmentSize: r.SegmentSize, FixedID: r.FixedID,
			Trusted: !r.Vouched, // else splitting might make a wrong checksum right
		}
		if done, _ := b.divide(a, &in, p, noted); !done {
			b.count.droppedDetached++
		}
		view.Release()
	}
}

// gsoOptions says how a run is to be split again when it leaves. L3HdrLen leaves
// out extension headers, as netstack's own does.
func gsoOptions(p *coalesce.Packet, r *coalesce.Run) stack.GSO {
	gso := stack.GSO{
		Type: stack.GSOTCPv4, CsumOffset: header.TCPChecksumOffset,
		MSS: uint16(r.SegmentSize), L3HdrLen: header.IPv4MinimumSize, MaxSize: gsoMaxSize,
	}
	if p.Protocol == header.IPv6ProtocolNumber {
		gso.Type = stack.GSOTCPv6
		gso.L3HdrLen = header.IPv6MinimumSize
	}
	return gso
}
