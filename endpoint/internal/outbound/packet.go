// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package outbound cuts a stack.PacketBuffer on its way down into packets that
// fit the link, by package segment: as copies for links that hand out byte
// slices, and as PacketBuffers that share the payload for all others.
package outbound

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
	"github.com/netstack-offload/netstack-offload/segment"
)

// ErrChecksum: the packet would have to be split but came with a wrong TCP
// checksum, which splitting would make right.
var ErrChecksum = errors.New("outbound: wrong TCP checksum on a packet that needs splitting: drop it")

// maxHead is how many bytes of headers are gathered where they are not
// contiguous: more than Ethernet, a VLAN tag, IPv6 with 384 bytes of extension
// headers, and TCP with options have.
const maxHead = 512

// Packet is one packet being cut. The zero value is ready for Init. It borrows
// the PacketBuffer given to Init until Drop or the next Init, and is not safe
// for concurrent use.
type Packet struct {
	seg    segment.Splitter
	pkt    *stack.PacketBuffer
	next   int // the segment that comes next
	cursor cursor

	gathered [maxHead]byte // headers, where a view does not hold them all
	header   [maxHead]byte // of the segment being made
}

// Link is what Init has to know about the link.
type Link struct {
	MTU      uint32
	Ethernet bool // frames begin with a 14-byte Ethernet header
}

// Init begins with pkt. After an error pkt has to be dropped.
func (p *Packet) Init(pkt *stack.PacketBuffer, link Link) error {
	p.pkt, p.next = pkt, 0
	head := p.head()
	p.cursor = startOf(pkt)
	gso := &pkt.GSOOptions
	isTCP := gso.Type == stack.GSOTCPv4 || gso.Type == stack.GSOTCPv6 || gso.Type == stack.GSOGvisor
	opts := segment.Options{
		MTU:        int(link.MTU),
		LinkHdrLen: linkHdrLen(pkt, head, link),
		Partial:    isTCP && gso.NeedsCsum,
	}
	if isTCP {
		opts.SegmentSize = int(gso.MSS)
	}
	if err := p.seg.Init(head, pkt.Size(), opts); err != nil {
		return err
	}
	if p.seg.Segments() == 0 {
		return nil
	}
	if p.seg.Transport() != header.TCPProtocolNumber {
		return segment.ErrMalformed // its GSO options are those of TCP
	}
	p.cursor.skip(p.seg.HeaderLen())
	if !opts.Partial {
		payload := p.cursor
		if !p.seg.ChecksumOK(payload.sum(p.seg.PayloadLen())) {
			return ErrChecksum
		}
	}
	return nil
}

// Drop forgets the PacketBuffer.
func (p *Packet) Drop() { p.pkt, p.cursor = nil, cursor{} }

// Segments is the number of packets that the packet becomes. 0 means that it is
// sent as it is.
func (p *Packet) Segments() int { return p.seg.Segments() }

// Left is how many packets are still to come.
func (p *Packet) Left() int { return max(1, p.seg.Segments()) - p.next }

// NextLen is the size in bytes of what Copy would write, or 0 if nothing is left.
func (p *Packet) NextLen() int {
	switch {
	case p.Left() == 0:
		return 0
	case p.seg.Segments() == 0:
		return p.pkt.Size()
	}
	_, n := p.seg.Payload(p.next)
	return p.seg.HeaderLen() + n
}

// Copy writes the next packet into dst, which must have NextLen bytes.
func (p *Packet) Copy(dst []byte) {
	i := p.next
	p.next++
	if p.seg.Segments() == 0 {
		p.cursor.read(dst[:p.pkt.Size()])
		return
	}
	_, n := p.seg.Payload(i)
	hdrLen := p.seg.HeaderLen()
	payload := dst[hdrLen : hdrLen+n]
	p.seg.PutHeader(dst, i, p.cursor.readSum(payload))
}

// Share returns the next packet as a new PacketBuffer, which the caller owns. It
// shares the payload with the packet and has its metadata but for GSOOptions.
// It may be called where Segments is not 0 and NextLen is not 0.
func (p *Packet) Share() *stack.PacketBuffer {
	i := p.next
	p.next++
	_, n := p.seg.Payload(i)
	payload := p.cursor
	hdrLen := p.seg.HeaderLen()
	hdr := p.header[:hdrLen]
	p.seg.PutHeader(hdr, i, payload.sum(n))

	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: hdrLen,
		Payload:            p.cursor.share(n),
	})
	net, l4 := p.seg.NetworkOffset(), p.seg.TransportOffset()
	copy(pkt.TransportHeader().Push(hdrLen-l4), hdr[l4:])
	copy(pkt.NetworkHeader().Push(l4-net), hdr[net:])
	if net > 0 {
		copy(pkt.LinkHeader().Push(net), hdr)
	}
	pkt.NetworkProtocolNumber = p.pkt.NetworkProtocolNumber
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.Hash = p.pkt.Hash
	pkt.Owner = p.pkt.Owner
	pkt.EgressRoute = p.pkt.EgressRoute
	pkt.PktType = p.pkt.PktType
	pkt.NICID = p.pkt.NICID
	return pkt
}

// Finish completes the checksum of a packet that is one segment, in place, and
// clears its GSOOptions. It returns false where the packet's headers were never
// told apart; Share then serves.
func (p *Packet) Finish() bool {
	tcp := header.TCP(p.pkt.TransportHeader().Slice())
	if len(tcp) < header.TCPMinimumSize {
		return false
	}
	hdr := p.header[:p.seg.HeaderLen()]
	p.seg.PutHeader(hdr, 0, p.cursor.sum(p.seg.PayloadLen()))
	tcp.SetChecksum(header.TCP(hdr[p.seg.TransportOffset():]).Checksum())
	p.pkt.GSOOptions = stack.GSO{}
	p.next++
	return true
}

// head returns the packet's first bytes contiguously, all headers at least.
func (p *Packet) head() []byte {
	at := startOf(p.pkt)
	size := p.pkt.Size()
	if first := at.bytes(); len(first) >= min(size, maxHead) {
		return first
	}
	head := p.gathered[:min(size, maxHead)]
	at.read(head)
	return head
}

// linkHdrLen returns where the IP header begins, behind a VLAN tag if there is
// one. A bridge hands down frames whose headers nobody has parsed.
func linkHdrLen(pkt *stack.PacketBuffer, head []byte, link Link) int {
	n := len(pkt.LinkHeader().Slice())
	if n == 0 && link.Ethernet && pkt.NetworkProtocolNumber == 0 {
		n = header.EthernetMinimumSize
	}
	if n == header.EthernetMinimumSize && len(head) >= n+vlan.TagLen && binary.BigEndian.Uint16(head[12:]) == vlan.EtherType {
		n += vlan.TagLen
	}
	return n
}

// cursor is a place in the bytes of a PacketBuffer.
type cursor struct {
	view *buffer.View
	off  int
}

func startOf(pkt *stack.PacketBuffer) cursor {
	views, off := pkt.AsViewList()
	c := cursor{view: views.Front()}
	c.skip(off)
	return c
}

// bytes returns what is left of the current view; nil at the end.
func (c *cursor) bytes() []byte {
	for c.view != nil && c.off == c.view.Size() {
		c.view, c.off = c.view.Next(), 0
	}
	if c.view == nil {
		return nil
	}
	return c.view.AsSlice()[c.off:]
}

// each calls f with the next n bytes, view by view, and moves behind them.
func (c *cursor) each(n int, f func([]byte)) {
	for n > 0 {
		b := c.bytes()
		if len(b) == 0 {
			return
		}
		b = b[:min(n, len(b))]
		f(b)
		c.off += len(b)
		n -= len(b)
	}
}

func (c *cursor) skip(n int) { c.each(n, func([]byte) {}) }

func (c *cursor) read(dst []byte) {
	c.each(len(dst), func(b []byte) { dst = dst[copy(dst, b):] })
}

// readSum is read, and returns the sum of what was read.
func (c *cursor) readSum(dst []byte) uint16 {
	var t total
	c.each(len(dst), func(b []byte) {
		t.add(sum.Copy(dst, b), len(b))
		dst = dst[len(b):]
	})
	return t.sum
}

func (c *cursor) sum(n int) uint16 {
	var t total
	c.each(n, func(b []byte) { t.add(sum.Bytes(b, 0), len(b)) })
	return t.sum
}

// total adds up the sums of pieces. Behind an odd number of bytes those of a piece
// are swapped (RFC 1071, section 2 (B)).
type total struct {
	sum uint16
	odd bool
}

func (t *total) add(sum uint16, n int) {
	if t.odd {
		sum = sum<<8 | sum>>8
	}
	t.sum = checksum.Combine(t.sum, sum)
	t.odd = t.odd != (n&1 != 0)
}

// share returns the next n bytes by reference, owned by the caller.
func (c *cursor) share(n int) buffer.Buffer {
	var shared buffer.Buffer
	c.each(n, func(b []byte) {
		v := c.view.Clone()
		v.TrimFront(c.off)
		v.CapLength(len(b))
		// Not Append: that copies where the view before has room.
		part := buffer.MakeWithView(v)
		shared.Merge(&part)
	})
	return shared
}
