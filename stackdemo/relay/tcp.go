// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// handleTCP relays one connection, from its SYN to its end. netstack calls it on a
// goroutine of its own. The SYN is answered when the other side has answered: what
// is refused outside is refused inside, with RST.
func (p *proxy) handleTCP(r *tcp.ForwarderRequest) {
	if !p.enter(&p.tcp) {
		r.Complete(true)
		return
	}
	defer p.leave(&p.tcp)
	conn, err := p.dial("tcp", r.ID())
	if err != nil {
		p.count.refused.Add(1)
		r.Complete(true)
		return
	}
	defer conn.Close()
	var wq waiter.Queue
	ep, tcpErr := r.CreateEndpoint(&wq)
	if tcpErr != nil { // it has gone away meanwhile
		r.Complete(true)
		return
	}
	r.Complete(false)
	p.count.tcp.Add(1)
	ep.SocketOptions().SetKeepAlive(true) // a command that was killed says no more
	c := &connection{
		inner: gonet.NewTCPConn(&wq, ep), ep: ep,
		outer: conn.(*net.TCPConn),
	}
	defer c.inner.Close()
	defer context.AfterFunc(p.ctx, c.abort)()
	c.relay(&p.count)
}

// connection is both ends of a relayed connection.
type connection struct {
	inner *gonet.TCPConn
	ep    tcpip.Endpoint // of inner
	outer *net.TCPConn
}

// abort resets both ends.
func (c *connection) abort() {
	c.ep.Abort()
	c.outer.SetLinger(0)
	c.outer.Close()
}

// relay carries data both ways until both have ended, or one has failed. One way
// may end long before the other.
func (c *connection) relay(count *counters) {
	var ways sync.WaitGroup
	ways.Go(func() { c.carry(c.outer, c.inner, &count.sent) })
	ways.Go(func() { c.carry(c.inner, c.outer, &count.received) })
	ways.Wait()
}

// half is an end that can be closed for writing alone.
type half interface {
	net.Conn
	CloseWrite() error
}

func (c *connection) carry(to, from half, count *atomic.Uint64) {
	if err := carry(to, from, count); err != nil {
		c.abort()
		return
	}
	to.CloseWrite() // fails only where the other way has failed
}

// buffers are for one direction of one flow each: super-packets go through whole.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// carry copies until from ends. It is not io.Copy, which would have a TCPConn read
// in pieces of 32 KiB.
func carry(to io.Writer, from io.Reader, count *atomic.Uint64) error {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := from.Read(buf[:])
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
			count.Add(uint64(n))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
