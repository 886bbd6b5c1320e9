// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The addresses that stand for the loopback outside, and those of the command.
var (
	hostAddr4  = netip.MustParseAddr("198.18.0.1")
	hostAddr6  = netip.MustParseAddr("fd00:c612::1")
	innerAddr4 = netip.MustParseAddr("198.18.0.2")
	innerAddr6 = netip.MustParseAddr("fd00:c612::2")
)

// proxy ends the flows that a stack sees and relays them to sockets.
type proxy struct {
	limit   int           // flows of a protocol at once
	udpIdle time.Duration // after which a UDP flow ends
	dialer  net.Dialer

	ctx    context.Context // done when the proxy is closed
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool
	tcp, udp int // flows now
	flows    sync.WaitGroup

	count counters
}

// counters count since the start. Bytes are those of payloads.
type counters struct {
	tcp, udp, refused, limited atomic.Uint64
	sent, received             atomic.Uint64 // by the namespace
}

// dialLimit is how long the other side may take to answer.
const dialLimit = 30 * time.Second

func newProxy(limit int, udpIdle time.Duration) *proxy {
	p := &proxy{limit: limit, udpIdle: udpIdle, dialer: net.Dialer{Timeout: dialLimit}}
	p.dialer.SetMultipathTCP(false)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// serve has s hand over every flow that no socket of its own is for.
func (p *proxy) serve(s *stack.Stack) {
	t := tcp.NewForwarder(s, 0, p.limit, p.handleTCP)
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, t.HandlePacket)
	u := udp.NewForwarder(s, p.handleUDP)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, u.HandlePacket)
}

// drain waits for the ends of all TCP connections, no longer than limit: what a
// command has sent before it ended is still on its way. UDP has no end; what waits
// in the TUN has been read by the time that drain looks again.
func (p *proxy) drain(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		p.mu.Lock()
		n := p.tcp
		p.mu.Unlock()
		if n == 0 {
			return
		}
	}
}

// close ends all flows and waits for them.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.flows.Wait()
}

// enter admits one more flow of those that n counts, or reports that there are too
// many. The caller leaves when it is over.
func (p *proxy) enter(n *int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || *n >= p.limit {
		p.count.limited.Add(1)
		return false
	}
	*n++
	p.flows.Add(1)
	return true
}

func (p *proxy) leave(n *int) {
	p.mu.Lock()
	*n--
	p.mu.Unlock()
	p.flows.Done()
}

// dial opens a socket to where a flow goes. As netstack sees it that is its own,
// local address.
func (p *proxy) dial(network string, id stack.TransportEndpointID) (net.Conn, error) {
	to := outside(id.LocalAddress)
	return p.dialer.DialContext(p.ctx, network, netip.AddrPortFrom(to, id.LocalPort).String())
}

func outside(a tcpip.Address) netip.Addr {
	switch to, _ := netip.AddrFromSlice(a.AsSlice()); to {
	case hostAddr4:
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case hostAddr6:
		return netip.IPv6Loopback()
	default:
		return to
	}
}
