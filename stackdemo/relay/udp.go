// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// handleUDP begins to relay a flow with its first datagram. netstack calls it from
// the delivery, so it must not wait. What it does not take is answered with an ICMP
// error.
func (p *proxy) handleUDP(r *udp.ForwarderRequest) bool {
	if !p.enter(&p.udp) {
		return false
	}
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	if err != nil {
		p.leave(&p.udp)
		return false
	}
	p.count.udp.Add(1)
	go func() {
		defer p.leave(&p.udp)
		p.relayUDP(gonet.NewUDPConn(&wq, ep), r.ID())
	}()
	return true
}

func (p *proxy) relayUDP(inner *gonet.UDPConn, id stack.TransportEndpointID) {
	defer inner.Close()
	outer, err := p.dial("udp", id)
	if err != nil {
		p.count.refused.Add(1)
		return
	}
	defer outer.Close()
	f := &udpFlow{inner: inner, outer: outer}
	defer context.AfterFunc(p.ctx, f.close)()
	defer f.watch(p.udpIdle)()
	var ways sync.WaitGroup
	ways.Go(func() { f.carry(outer, inner, &p.count.sent) })
	ways.Go(func() { f.carry(inner, outer, &p.count.received) })
	ways.Wait()
}

// udpFlow is both ends of a relayed flow.
type udpFlow struct {
	inner, outer net.Conn
	active       atomic.Bool // since the watch looked last
}

func (f *udpFlow) close() {
	f.inner.Close()
	f.outer.Close()
}

// watch closes f when nothing has come either way for idle, or up to twice that.
// A deadline set for every datagram would cost more than the datagram.
func (f *udpFlow) watch(idle time.Duration) (stop func()) {
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(idle)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if !f.active.Swap(false) {
					f.close()
					return
				}
			}
		}
	}()
	return func() { close(done) }
}

// carry copies datagrams until either end is closed or has failed, which closes
// the other too.
func (f *udpFlow) carry(to, from net.Conn, count *atomic.Uint64) {
	defer f.close()
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := from.Read(buf[:])
		if err != nil {
			return
		}
		f.active.Store(true)
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		count.Add(uint64(n))
	}
}
