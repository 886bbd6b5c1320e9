// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/inbound"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
)

// target is a dispatcher.
type target struct {
	stack.NetworkDispatcher
	frames endpoint.FrameDispatcher // the same, if it is one
}

func newTarget(d stack.NetworkDispatcher) *target {
	frames, _ := d.(endpoint.FrameDispatcher)
	return &target{d, frames}
}

// reader reads one queue in one session, and delivers. Its memory is its own: it
// may still be delivering when the next session's reader begins.
type reader struct {
	l *Link
	q *queue
	s *session

	target *target // of the batch
	poll   [2]unix.PollFd
	src    source
	raw    []received
	stay   int            // batches without a yield, because of the last one
	stays  int            // those of them that are left
	frame  endpoint.Frame // being looked at
	frames []endpoint.Frame
	split  inbound.Splitter
	pieces []byte // of super-packets, referred to by frames
	used   int    // of pieces

	// Of the batch, for the counters.
	super, divided, runt, oversize, foreign, notIP, badVnetHdr uint64
}

// received is what one read has brought.
type received struct {
	// data is a virtio_net_hdr, if the queue has them, and a frame; nil if that
	// was too large.
	data []byte
	// view, if not nil, is what data lies in, and the reader's.
	view *buffer.View
}

// A source reads what is there, at most maxBatch frames, into memory that is
// reused by the next read, or into views that are not.
type source interface {
	// read appends to raw. size is the largest frame to be expected, in bytes.
	// The error is of the first frame only, EAGAIN if there is none.
	read(raw []received, size int) ([]received, unix.Errno)
	// close ends the reading.
	close()
}

func newReader(l *Link, q *queue, s *session) *reader {
	r := &reader{l: l, q: q, s: s, raw: make([]received, 0, maxBatch), frames: make([]endpoint.Frame, 0, maxBatch)}
	super := q.vnetLen > 0 && s.target.Load().frames != nil // which may keep them
	switch {
	case q.ring != nil:
		r.src = q.ring
	case q.socket:
		r.src = &socketSource{fd: q.fd, super: super}
	default:
		r.src = &deviceSource{fd: q.fd, super: super, useRead: l.cfg.UseRead}
	}
	return r
}

// run is the reader's goroutine.
func (r *reader) run() {
	defer r.l.readers.Done()
	defer r.l.left(r.s)
	defer r.src.close()
	if ring := r.q.ring; ring != nil {
		ring.owner.Lock()
		defer ring.owner.Unlock()
	}
	for r.next() {
		cheap := r.cheap()
		r.deliver()
		if cheap {
			r.yield()
		}
	}
}

// cheap reports whether the batch did not cost a system call for each packet: it comes
// from a ring, or is of super-packets.
func (r *reader) cheap() bool {
	n := len(r.raw)
	return r.q.ring != nil || n > 0 && r.raw[n-1].view != nil
}

const (
	// longYield is more than the stack needs for a batch, and less than the 10 ms
	// that the runtime gives a goroutine that does not stop by itself.
	longYield = time.Millisecond
	// minStay and maxStay are for how many batches there is no other.
	minStay = 64
	maxStay = 8192
)

// yield lets those run whom a delivery has woken: the stack and its users. Where reading
// is cheap their work is the larger part, and finds the packets in this processor's
// cache; a transfer is up to a fifth faster. Where every packet costs a system call it
// is the reader who must not wait.
//
// If it takes long to come back, there are others who compute and wait for nothing, and
// who yields to them waits for them all: then the reader stays for some batches, the
// more the oftener that happens.
func (r *reader) yield() {
	if r.stays > 0 {
		r.stays--
		return
	}
	before := time.Now()
	runtime.Gosched()
	if time.Since(before) < longYield {
		r.stay = 0
		return
	}
	r.stay = min(max(2*r.stay, minStay), maxStay)
	r.stays = r.stay
}

// next waits for frames and reads a batch. It returns false when the session is
// over.
func (r *reader) next() bool {
	r.q.reading.Lock()
	defer r.q.reading.Unlock()
	hangup := false // poll says that there is no more to come
	for !r.s.stopped.Load() {
		var errno unix.Errno
		r.raw, errno = r.src.read(r.raw[:0], r.frameSize())
		switch {
		case len(r.raw) > 0:
			if r.q.seq && empty(r.raw[len(r.raw)-1].data) && r.q.hungUp() {
				r.trim()
				r.stop(io.EOF)
			}
			return true
		case errno == unix.EINTR:
		case errno == unix.EAGAIN && hangup && r.q.socket:
			r.stop(r.q.ended())
		case errno == unix.EAGAIN && hangup: // being deleted
			r.stop(unix.EBADFD)
		case errno == unix.EAGAIN:
			r.l.count.waits.Add(1)
			// What was delivered has woken goroutines, which wait for this one's
			// processor: a blocking call keeps it from them until the runtime
			// takes it away, which doubles the time of a round trip.
			runtime.Gosched()
			hangup = r.await()
		default:
			r.stop(errno)
		}
	}
	return false
}

// trim takes the empty reads at the end, which are no frames, out of the batch.
func (r *reader) trim() {
	for n := len(r.raw); n > 0 && empty(r.raw[n-1].data); n-- {
		r.raw = r.raw[:n-1]
	}
}

// empty tells a read of nothing from one of too much.
func empty(raw []byte) bool { return raw != nil && len(raw) == 0 }

// frameSize is the size of the largest frame to be expected, with what precedes
// it.
func (r *reader) frameSize() int {
	size := int(r.l.MTU())
	if r.q.vnetLen > 0 {
		size = gsoMaxSize
	}
	if r.l.cfg.Ethernet {
		size += header.EthernetMinimumSize + vlan.TagLen
	}
	return r.q.vnetLen + size
}

func (r *reader) stop(reason error) { r.l.stop(r.s, r.q.gone(reason)) }

// gone says why a queue can be used no longer.
func (q *queue) gone(reason error) error {
	what := "reading failed"
	switch reason {
	case io.EOF, unix.ECONNRESET, unix.ECONNREFUSED, unix.EPIPE, unix.ENOTCONN:
		what = "the other end has been closed"
	case unix.ENETDOWN:
		what = "the interface is down, or deleted: attach the link again when it is up"
	case unix.EBADFD, unix.ENODEV, unix.ENXIO:
		what = "the device has been deleted"
	}
	return fmt.Errorf("rawlink: %s: %s: %w", q.name, what, reason)
}

// await waits until there is something to read, or the link is woken. It returns
// true if the kernel says that nothing more will come than is there.
func (r *reader) await() (hangup bool) {
	r.poll[0] = unix.PollFd{Fd: int32(r.q.fd), Events: unix.POLLIN | unix.POLLRDHUP}
	r.poll[1] = unix.PollFd{Fd: int32(r.l.wakeFD), Events: unix.POLLIN}
	if poll(r.poll[:], nil) != 0 {
		return false // EINTR; anything else the next read will meet too
	}
	if r.poll[1].Revents != 0 && !r.s.stopped.Load() {
		// Meant for a session that is over, whose end had just been seen. Or
		// not: then nobody must miss it.
		r.l.calm()
		if r.s.stopped.Load() {
			r.l.wake()
		}
	}
	return r.poll[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLRDHUP|unix.POLLNVAL) != 0
}

// ended says why poll reports that nothing more will come. Reading has told, but
// for a ring, which hides the error.
func (q *queue) ended() error {
	if q.ring == nil {
		return io.EOF
	}
	if n, err := unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
		return unix.Errno(n)
	}
	return io.EOF
}

// hungUp reports whether the peer has closed, so that an empty read is the end and
// not an empty frame.
func (q *queue) hungUp() bool {
	fds := [1]unix.PollFd{{Fd: int32(q.fd), Events: unix.POLLRDHUP}}
	return poll(fds[:], &unix.Timespec{}) == 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) != 0
}

// deliver hands up what has been read.
func (r *reader) deliver() {
	r.target = r.s.target.Load()
	for i := range r.raw {
		r.take(&r.raw[i])
	}
	// Counted before it is delivered, so that who has got a frame sees it
	// counted.
	r.tally()
	r.flush()
	for i := range r.raw {
		release(r.raw[i].view) // of what was dropped, or divided
	}
}

// tally adds what the batch has come to.
func (r *reader) tally() {
	c := &r.l.count
	c.received.Add(uint64(len(r.raw)))
	c.batches.Add(1)
	if r.super > 0 {
		c.super.Add(r.super)
		c.split.Add(r.divided)
		r.super, r.divided = 0, 0
	}
	if r.runt|r.oversize|r.foreign|r.notIP|r.badVnetHdr != 0 {
		c.runt.Add(r.runt)
		c.oversize.Add(r.oversize)
		c.foreign.Add(r.foreign)
		c.notIP.Add(r.notIP)
		c.badVnetHdr.Add(r.badVnetHdr)
		r.runt, r.oversize, r.foreign, r.notIP, r.badVnetHdr = 0, 0, 0, 0, 0
	}
}

// take adds one frame to those to be delivered, or drops and counts it.
func (r *reader) take(got *received) {
	f, raw := &r.frame, got.data
	*f = endpoint.Frame{LinkHdrLen: r.l.linkHdrLen()}
	switch {
	case raw == nil:
		r.oversize++
		return
	case len(raw) <= r.q.vnetLen || len(raw) < r.q.vnetLen+f.LinkHdrLen:
		r.runt++
		return
	}
	f.Data = raw[r.q.vnetLen:]
	if !r.identify(f) {
		return
	}
	if r.q.vnetLen > 0 {
		var hdr vnetHdr
		hdr.decode(raw)
		if !hdr.label(f) {
			r.badVnetHdr++
			return
		}
		if f.GSOSize > 0 {
			r.super++
			if r.target.frames == nil {
				r.divide(f)
				return
			}
		}
	}
	if got.view != nil {
		f.View, got.view = got.view, nil
		f.View.TrimFront(r.q.vnetLen)
	}
	r.frames = append(r.frames, *f)
}

func release(v *buffer.View) {
	if v != nil {
		v.Release()
	}
}

// identify sets the network protocol, and reports whether the frame is wanted.
func (r *reader) identify(f *endpoint.Frame) bool {
	if r.l.cfg.Ethernet {
		if !r.l.forUs(f.Data) && !r.l.cfg.Promiscuous {
			r.foreign++
			return false
		}
		f.PktType = packetType(f.Data)
		f.Protocol = header.Ethernet(f.Data).Type()
		return true
	}
	switch f.Data[0] >> 4 {
	case header.IPv4Version:
		f.Protocol = header.IPv4ProtocolNumber
	case header.IPv6Version:
		f.Protocol = header.IPv6ProtocolNumber
	default:
		r.notIP++
		return false
	}
	return true
}

// packetType tells groups from stations. What a bridge's port takes for other stations
// it does not call so: the bridge itself may be one of them, passes it on with that
// label, and ARP takes no answer for one that is for somebody else.
func packetType(dst []byte) tcpip.PacketType {
	switch {
	case dst[0]&1 == 0:
		return tcpip.PacketHost
	case macOf(dst) == broadcast:
		return tcpip.PacketBroadcast
	default:
		return tcpip.PacketMulticast
	}
}

// piecesSize is room for the pieces of one super-packet, as they mostly are, and for
// the largest of them.
const piecesSize = 96 << 10

// divide adds the packets that a super-packet becomes where there is no endpoint
// that would see to it.
func (r *reader) divide(f *endpoint.Frame) {
	defer r.split.Drop()
	n, err := r.split.Init(&inbound.Packet{
		Data: f.Data, LinkHdrLen: vlan.NetworkOffset(f.Protocol, f.LinkHdrLen),
		SegmentSize: int(f.GSOSize),
		Partial:     f.Checksum == endpoint.ChecksumPartial,
		Trusted:     f.Checksum == endpoint.ChecksumVerified || r.l.cfg.RXChecksumOffload,
	})
	switch {
	case err != nil:
		r.badVnetHdr++
		return
	case n == 0:
		r.frames = append(r.frames, *f)
		return
	}
	if n > 1 {
		r.divided++
	}
	if r.pieces == nil {
		r.pieces = make([]byte, piecesSize)
	}
	for i := range n {
		size := r.split.Len(i)
		if r.used+size > len(r.pieces) {
			r.flush()
		}
		piece := r.pieces[r.used : r.used+size : r.used+size]
		r.used += size
		r.split.Put(piece, i)
		r.frames = append(r.frames, endpoint.Frame{Data: piece, Protocol: f.Protocol, LinkHdrLen: f.LinkHdrLen, PktType: f.PktType})
	}
}

// flush delivers the frames that have been taken.
func (r *reader) flush() {
	r.used = 0
	if len(r.frames) == 0 {
		return
	}
	switch t := r.target; {
	case r.s.stopped.Load() && r.s.reason.Load() == nil:
		r.l.count.noStack.Add(uint64(len(r.frames)))
	case t.frames != nil:
		r.l.count.delivered.Add(uint64(len(r.frames)))
		t.frames.DeliverFrames(r.frames)
	default:
		r.l.count.delivered.Add(uint64(len(r.frames)))
		for i := range r.frames {
			deliverPacket(t, &r.frames[i])
		}
	}
	for i := range r.frames {
		release(r.frames[i].View) // of what nobody has kept
	}
	r.frames = r.frames[:0]
}

// deliverPacket hands up one frame as a packet of its own.
func deliverPacket(d stack.NetworkDispatcher, f *endpoint.Frame) {
	v := buffer.NewViewWithData(f.Data)
	if f.Checksum == endpoint.ChecksumPartial {
		inbound.FinishChecksum(v.AsSlice(), f.Data, int(f.ChecksumStart), int(f.ChecksumOffset))
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	defer pkt.DecRef()
	if f.LinkHdrLen > 0 {
		pkt.LinkHeader().Consume(f.LinkHdrLen)
	}
	pkt.NetworkProtocolNumber, pkt.PktType = f.Protocol, f.PktType
	d.DeliverNetworkPacket(f.Protocol, pkt)
}
