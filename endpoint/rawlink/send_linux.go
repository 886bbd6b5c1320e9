// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/outbound"
)

// WritePackets implements stack.LinkWriter. All is written, or dropped and counted,
// on return; the packets stay the caller's. It returns how many packets were
// written, each whole.
//
// Where the kernel has no room it waits, at most 10 ms, and once that was in vain
// not again before something could be written.
func (l *Link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	l.sending.RLock()
	defer l.sending.RUnlock()
	s := l.session.Load()
	if s == nil || s.stopped.Load() {
		return l.refuse(s, pkts.Len())
	}
	w := l.writers.Get().(*writer)
	defer l.writers.Put(w)
	w.s, w.dropped, w.lastDropped = s, 0, -1
	for i, pkt := range pkts.AsSlice() {
		if q := l.queueOf(pkt); q != w.q {
			w.flush()
			w.q = q
		}
		w.add(i, pkt)
	}
	w.flush()
	w.q, w.s = nil, nil
	return pkts.Len() - w.dropped, nil
}

// refuse drops what is sent while the link is not attached, or has stopped.
func (l *Link) refuse(s *session, n int) (int, tcpip.Error) {
	l.count.detached.Add(uint64(n))
	if s == nil {
		return 0, nil
	}
	return 0, &tcpip.ErrClosedForSend{}
}

// queueOf keeps a flow on one queue, which a multi-queue TUN then receives it on
// (drivers/net/tun.c, tun_flow_update).
func (l *Link) queueOf(pkt *stack.PacketBuffer) *queue {
	if len(l.queues) == 1 {
		return l.queues[0]
	}
	return l.queues[pkt.Hash%uint32(len(l.queues))]
}

const (
	// headersSize is room for the headers of a batch: of the largest that
	// package outbound makes, at least one.
	headersSize = maxBatch * 128
	headersMax  = 512 + vnetHdrLenMax

	// maxParts bounds the pieces of one frame: UIO_MAXIOV of linux/uio.h is
	// 1024.
	maxParts = 512
)

// writer is one call of WritePackets. It refers to the packets' payload, and to
// headers in memory of its own, until flush.
type writer struct {
	l   *Link
	s   *session
	q   *queue
	cut outbound.Packet

	poll [2]unix.PollFd

	n       int // frames to be written
	frames  [maxBatch]outFrame
	msgs    [maxBatch]mmsghdr // of sockets
	iovs    []unix.Iovec
	parts   [][]byte
	headers [headersSize]byte
	used    int // of headers

	dropped     int // packets of the list
	lastDropped int // its index
}

// outFrame is one frame to be written.
type outFrame struct {
	packet int // index in the list
	end    int // in iovs; it begins where the one before ends
	super  bool
}

func newWriter(l *Link) *writer { return &writer{l: l} }

// add takes packet i of the list, as a super-packet where the queue has
// virtio_net_hdr, and else split.
func (w *writer) add(i int, pkt *stack.PacketBuffer) {
	hdr, whole := vnetHdr{}, false
	if w.q.vnetLen > 0 {
		hdr, whole = w.l.vnetOf(pkt)
	}
	if whole {
		w.reserve()
		w.parts = outbound.Whole(pkt, w.parts[:0])
		w.addFrame(i, &hdr, 0, hdr.gsoType != gsoNone)
		return
	}
	if err := w.cut.Init(pkt, w.l.outbound()); err != nil {
		w.l.count.unsplittable.Add(1)
		w.drop(i)
		return
	}
	for w.cut.NextLen() > 0 {
		w.reserve()
		n := w.cut.HeaderLen()
		at := w.used + w.q.vnetLen
		w.parts = w.cut.Refer(w.headers[at:at+n], w.parts[:0])
		w.addFrame(i, &hdr, n, false)
	}
	w.cut.Drop()
}

// vnetOf returns the header in front of pkt if it can be sent whole: an ordinary
// packet no larger than the MTU, or TCP that the kernel is to finish.
func (l *Link) vnetOf(pkt *stack.PacketBuffer) (h vnetHdr, ok bool) {
	mtu := int(l.MTU())
	link, ip, tcp := len(pkt.LinkHeader().Slice()), len(pkt.NetworkHeader().Slice()), pkt.TransportHeader().Slice()
	gso := &pkt.GSOOptions
	if gso.Type == stack.GSONone {
		if link == 0 && l.cfg.Ethernet {
			link = header.EthernetMinimumSize // a bridge's frame, not parsed
		}
		return h, pkt.Size()-link <= mtu
	}
	tcpSuper := gso.Type == stack.GSOTCPv4 || gso.Type == stack.GSOTCPv6
	if !tcpSuper || !gso.NeedsCsum || ip < header.IPv4MinimumSize || len(tcp) < header.TCPMinimumSize {
		return h, false
	}
	headers, payload := ip+len(tcp), pkt.Data().Size()
	if headers+payload > gsoMaxSize || headers >= mtu {
		return h, false
	}
	// What L3HdrLen says leaves out IP options: the packet knows.
	h.flags, h.csumStart, h.csumOffset = flagNeedsCsum, uint16(link+ip), header.TCPChecksumOffset
	size := mtu - headers
	if gso.MSS > 0 {
		size = min(size, int(gso.MSS))
	}
	if payload <= size {
		return h, true
	}
	h.gsoType, h.gsoSize, h.hdrLen = gsoTCPv4, uint16(size), uint16(link+headers)
	if gso.Type == stack.GSOTCPv6 {
		h.gsoType = gsoTCPv6
	}
	const flagCwr = 0x80
	if header.TCP(tcp).Flags()&flagCwr != 0 {
		h.gsoType |= gsoECN
	}
	return h, true
}

// reserve makes room for one frame's headers.
func (w *writer) reserve() {
	if w.n == maxBatch || w.used+headersMax > len(w.headers) {
		w.flush()
	}
}

// addFrame takes a frame of packet i, after reserve: hdrLen bytes that stand in w.headers behind
// room for the virtio_net_hdr, and w.parts.
func (w *writer) addFrame(i int, hdr *vnetHdr, hdrLen int, super bool) {
	front := w.headers[w.used : w.used+w.q.vnetLen+hdrLen]
	if w.q.vnetLen > 0 {
		hdr.encode(front[:w.q.vnetLen])
	}
	if len(front) > 0 {
		w.addIovec(front)
	}
	w.used += len(front)
	parts := w.parts
	if len(parts) > maxParts {
		var rest []byte
		for _, p := range parts[maxParts-1:] {
			rest = append(rest, p...)
		}
		parts = append(parts[:maxParts-1], rest)
	}
	for _, p := range parts {
		w.addIovec(p)
	}
	w.frames[w.n] = outFrame{packet: i, end: len(w.iovs), super: super}
	w.n++
}

func (w *writer) addIovec(b []byte) {
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(len(b))
	w.iovs = append(w.iovs, iov)
}

// drop notes that packet i, or a part of it, was dropped.
func (w *writer) drop(i int) {
	if i != w.lastDropped {
		w.dropped++
		w.lastDropped = i
	}
}
