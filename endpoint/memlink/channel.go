// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/outbound"
)

// Channel is a Link for those who push and pull single packets: it has the methods
// of channel.Endpoint, with their meaning, so that one line changes.
//
//	link := memlink.NewChannel(512, 1500, "") // was: channel.New(512, 1500, "")
//
// By that line alone the stack sends 64 KiB TCP packets, which Read and ReadContext
// split: what they return is never larger than the MTU, and is final, checksums
// and all. With endpoint.New around it, packets that come by InjectInbound faster
// than the stack takes them are merged too.
//
// It differs from channel.Endpoint in this: TCP with GSO options waits for room
// where channel.Endpoint drops (see the package comment), a super-packet counts as
// one in the queue, and there is no SupportedGSOKind to set. The batch calls Write
// and BatchSize of Link are there as well; Link.Read would take packets away from
// Read.
//
// All methods are safe for concurrent use.
type Channel struct {
	*Link

	// LinkEPCapabilities are told to the stack. Set it before the stack asks.
	LinkEPCapabilities stack.LinkEndpointCapabilities

	waiting atomic.Int32  // readers that wait for ready, or are about to
	ready   chan struct{} // holds a token if one of them should look
	closed  atomic.Bool
	partial atomic.Bool // part of a packet is still to be read

	notifyMu sync.Mutex // of writers of notify
	notify   atomic.Pointer[[]notification]
	cuts     sync.Pool // of *outbound.Packet
}

// notification is a target and the handle by which it is removed.
type notification struct {
	target channel.Notification
	handle *channel.NotificationHandle
}

var (
	_ stack.LinkEndpoint = (*Channel)(nil)
	_ stack.GSOEndpoint  = (*Channel)(nil)
)

// NewChannel takes what channel.New does: how many packets wait to be read, at
// least; the largest packet to be read, in bytes; and the link's address. A size of
// 0 means 512, as no packet is handed over without waiting in the queue.
func NewChannel(size int, mtu uint32, linkAddr tcpip.LinkAddress) *Channel {
	c := &Channel{
		Link: New(&Config{
			MTU:          mtu,
			QueuePackets: size,
			QueueBytes:   max(defaultQueueBytes, size*int(mtu)),
		}),
		ready: make(chan struct{}, 1),
	}
	c.cuts.New = func() any { return new(outbound.Packet) }
	c.SetLinkAddress(linkAddr)
	return c
}

// Capabilities implements stack.LinkEndpoint.
func (c *Channel) Capabilities() stack.LinkEndpointCapabilities { return c.LinkEPCapabilities }

// Close implements stack.LinkEndpoint. What waits is discarded, and ReadContext
// returns nil.
func (c *Channel) Close() {
	c.Link.Close()
	c.partial.Store(false)
	c.closed.Store(true)
	c.wake()
}

// InjectInbound hands pkt to the stack, or drops it where there is none. The
// reference stays the caller's. Bare, it delivers before it returns; under an
// Endpoint the packet changes goroutine, and is delivered at once unless others
// are ahead of it.
func (c *Channel) InjectInbound(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	c.inbound.written.Add(1)
	a := c.current.Load()
	if a == nil {
		c.inbound.detached.Add(1)
		return
	}
	a.DeliverNetworkPacket(protocol, pkt)
}

// Read returns the next packet that the stack has sent, which is the caller's to
// DecRef, or nil if there is none.
func (c *Channel) Read() *stack.PacketBuffer {
	pkt := c.readPacket()
	if pkt != nil && c.waiting.Load() > 0 && c.NumQueued() > 0 {
		c.wake() // for the next: one token may stand for several packets
	}
	return pkt
}

// readPacket is Link.Read for one packet.
func (c *Channel) readPacket() *stack.PacketBuffer {
	if c.NumQueued() == 0 {
		return nil
	}
	r := &c.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropStale()
	pkt := c.takeOne()
	r.dropStale()
	c.partial.Store(r.pkt != nil)
	return pkt
}

// takeOne returns the next packet, or part of one, for the caller alone. It is
// called with reader.mu held.
func (c *Channel) takeOne() *stack.PacketBuffer {
	r := &c.reader
	mtu := c.MTU()
	for r.pkt == nil {
		pkt, err := c.queue.pop(false)
		switch {
		case pkt == nil || err != nil:
			return nil
		case isFinal(pkt, mtu):
			r.packets.Add(1)
			return alone(pkt)
		case !r.begin(pkt, mtu):
			continue
		case r.cut.Segments() == 0:
			r.pkt = nil
			r.cut.Drop()
			r.packets.Add(1)
			return alone(pkt)
		}
	}
	pkt := r.cut.Share()
	r.packets.Add(1)
	if r.cut.Left() == 0 {
		r.release()
	} else {
		c.queue.wasRead()
	}
	return pkt
}

// isFinal reports whether pkt is sent as it is, as far as can be told without a
// look into it.
func isFinal(pkt *stack.PacketBuffer, mtu uint32) bool {
	return pkt.GSOOptions.Type == stack.GSONone && pkt.Size() <= int(mtu)
}

// begin makes pkt the reader's, or drops it where it cannot be sent. It is called
// with mu held and no packet left.
func (r *reader) begin(pkt *stack.PacketBuffer, mtu uint32) bool {
	r.pkt, r.of = pkt, r.stacks.Load()
	if err := r.cut.Init(pkt, outbound.Link{MTU: mtu}); err != nil {
		r.unsplittable.Add(1)
		r.release()
		return false
	}
	return true
}

// alone turns a reference to pkt into one to a packet that nobody else has.
func alone(pkt *stack.PacketBuffer) *stack.PacketBuffer {
	if pkt.ReadRefs() == 1 {
		return pkt // the stack has done with it
	}
	defer pkt.DecRef()
	return pkt.Clone()
}

// ReadContext is Read, but waits for a packet until ctx is done or the Channel
// closed. It then returns nil.
func (c *Channel) ReadContext(ctx context.Context) *stack.PacketBuffer {
	if pkt := c.Read(); pkt != nil {
		return pkt
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	for {
		// Once more, for what came before waiting was seen.
		if pkt := c.Read(); pkt != nil {
			return pkt
		}
		if c.closed.Load() {
			c.wake() // the next one to be told
			return nil
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return nil
		}
	}
}

// Drain drops everything that waits to be read and returns how many packets it
// was.
func (c *Channel) Drain() int {
	n := 0
	for pkt := c.Read(); pkt != nil; pkt = c.Read() {
		pkt.DecRef()
		n++
	}
	return n
}

// NumQueued returns how many packets wait to be read. One that has to be split
// counts as one, until the last of it is read.
func (c *Channel) NumQueued() int {
	n := int(c.queue.waiting.Load())
	if c.partial.Load() {
		n++
	}
	return n
}

// AddNotify has notify called for every packet that can be read, by the goroutine
// that sends it: for one that has to be split, once for each of its parts, as it is
// common to Read once for each call.
func (c *Channel) AddNotify(notify channel.Notification) *channel.NotificationHandle {
	c.notifyMu.Lock()
	defer c.notifyMu.Unlock()
	n := notification{notify, new(channel.NotificationHandle)}
	// A new slice: senders walk the old one without the lock.
	list := append(slices.Clone(c.notifications()), n)
	c.notify.Store(&list)
	return n.handle
}

// RemoveNotify ends what AddNotify began; a call may still be under way.
func (c *Channel) RemoveNotify(handle *channel.NotificationHandle) {
	c.notifyMu.Lock()
	defer c.notifyMu.Unlock()
	list := slices.DeleteFunc(slices.Clone(c.notifications()), func(n notification) bool { return n.handle == handle })
	c.notify.Store(&list)
}

func (c *Channel) notifications() []notification {
	if list := c.notify.Load(); list != nil {
		return *list
	}
	return nil
}

// WritePackets implements stack.LinkWriter, as Link does.
func (c *Channel) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	for _, pkt := range pkts.AsSlice() {
		ok, err := c.queue.push(pkt)
		if err != nil {
			return n, err
		}
		if ok {
			n++
			if c.waiting.Load() > 0 {
				c.wake()
			}
			c.tell(pkt)
		}
	}
	return n, nil
}

func (c *Channel) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// tell notifies of pkt.
func (c *Channel) tell(pkt *stack.PacketBuffer) {
	list := c.notifications()
	if len(list) == 0 {
		return
	}
	for range c.parts(pkt) {
		for _, n := range list {
			n.target.WriteNotify()
		}
	}
}

// parts is how many packets Read makes of pkt.
func (c *Channel) parts(pkt *stack.PacketBuffer) int {
	mtu := c.MTU()
	if isFinal(pkt, mtu) {
		return 1
	}
	cut := c.cuts.Get().(*outbound.Packet)
	defer c.cuts.Put(cut)
	defer cut.Drop()
	if cut.Init(pkt, outbound.Link{MTU: mtu}) != nil {
		return 0 // it will be dropped
	}
	return max(1, cut.Segments())
}
