// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/coalesce"
)

// Endpoint is a stack.LinkEndpoint over another one. All methods are safe for
// concurrent use.
type Endpoint struct {
	nested.Endpoint
	cfg    Config
	hasher coalesce.Hasher
	stats  counters

	// forwarded are flows that are known not to end in this stack.
	forwarded flowSet

	// lowerGSO is the lower link, if it is one.
	lowerGSO stack.GSOEndpoint

	// through: the lower link is a loopback, whose packets never had a wire
	// to be small for.
	through bool

	// current is the attachment packets are delivered to, nil when detached.
	current atomic.Pointer[attachment]

	// attachMu serialises Attach and Close. Nothing on a packet's way takes
	// it.
	attachMu sync.Mutex
	closed   bool
	workers  sync.WaitGroup

	batches sync.Pool // of *batch
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
	_ FrameDispatcher    = (*Endpoint)(nil)
)

// New returns an Endpoint over lower. A nil Config, and a zero field in it, mean
// the default. The Endpoint takes lower over: it attaches and closes it.
//
// Where lower is fdbased, set its GRO to false and ProcessorsPerChannel to 1:
// merging twice gains nothing, and each packet then changes goroutine once.
func New(lower stack.LinkEndpoint, cfg *Config) *Endpoint {
	e := &Endpoint{
		cfg:     cfg.withDefaults(),
		hasher:  coalesce.NewHasher(),
		through: lower.Capabilities()&stack.CapabilityLoopback != 0,
	}
	e.lowerGSO, _ = lower.(stack.GSOEndpoint)
	e.batches.New = func() any { return newBatch(e) }
	e.Endpoint.Init(lower, e)
	return e
}

// attachment is the time between an Attach and the Attach(nil) that ends it.
type attachment struct {
	target  atomic.Pointer[target]
	stopped atomic.Bool
	shards  []shard
}

// Attach implements stack.LinkEndpoint. With nil it tells the workers to leave,
// wakes who waits for room, releases what is queued, detaches the lower link and
// returns without waiting for a delivery under way. Another dispatcher takes the
// place of the one before. After Close it does nothing.
func (e *Endpoint) Attach(dispatcher stack.NetworkDispatcher) {
	e.attachMu.Lock()
	defer e.attachMu.Unlock()
	if dispatcher == nil {
		e.detach()
		return
	}
	if e.closed {
		return
	}
	t := newTarget(dispatcher)
	if a := e.current.Load(); a != nil {
		a.target.Store(t)
	} else {
		a := newAttachment(e)
		a.target.Store(t)
		e.current.Store(a)
	}
	e.Endpoint.Attach(dispatcher)
}

// detach is called with attachMu held.
func (e *Endpoint) detach() {
	if a := e.current.Swap(nil); a != nil {
		a.stop(e)
	}
	e.Endpoint.Attach(nil)
}

// Close implements stack.LinkEndpoint. It detaches, closes the lower link, and
// waits until no goroutine of the Endpoint is left. It must not be called from a
// delivery, nor under a lock that a delivery needs; netstack itself calls it
// outside its locks.
func (e *Endpoint) Close() {
	e.attachMu.Lock()
	e.closed = true
	e.detach()
	e.attachMu.Unlock()
	e.Endpoint.Close()
	e.workers.Wait()
}

// DeliverNetworkPacket implements stack.NetworkDispatcher for the lower link.
func (e *Endpoint) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if e.through || e.cfg.DisableCoalescing && !isLarge(pkt, e.MTU()) {
		e.Endpoint.DeliverNetworkPacket(protocol, pkt)
		return
	}
	a := e.current.Load()
	if a == nil {
		e.stats.dropDetached(1)
		return
	}
	if e.cfg.DisableCoalescing {
		it := describe(protocol, pkt)
		it.pkt = pkt.IncRef()
		a.deliverItem(e, &it)
		it.release()
		return
	}
	a.shardOf(e, protocol, pkt).push(e, a, protocol, pkt)
}

// gsoMaxSize is what the IPv4 header can say. (header.IPv4MaximumPayloadSize is
// one more.)
const gsoMaxSize = 65535

// GSOMaxSize implements stack.GSOEndpoint: the lower link's, at most 65535.
func (e *Endpoint) GSOMaxSize() uint32 {
	lower := e.Endpoint.GSOMaxSize()
	switch {
	case !e.segments():
		return lower
	case e.Endpoint.SupportedGSO() == stack.HostGSOSupported && lower > 0:
		return min(lower, gsoMaxSize)
	}
	return gsoMaxSize
}

// SupportedGSO implements stack.GSOEndpoint. It is HostGSOSupported whatever the
// lower link supports, unless segmentation is disabled.
func (e *Endpoint) SupportedGSO() stack.SupportedGSO {
	if !e.segments() {
		return e.Endpoint.SupportedGSO()
	}
	return stack.HostGSOSupported
}

func (e *Endpoint) segments() bool { return !e.through && !e.cfg.DisableSegmentation }
