// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// routed are two hosts, 10.0.1.1 and 10.0.2.1, with a router between them, in
// memory.
type routed struct {
	hosts  [2]*transfer.Host
	links  [2]*memlink.Link // the hosts'
	router *stack.Stack
	ends   [2]*endpoint.Endpoint // the router's
	lowers [2]*memlink.Link
}

// newRouter makes the hosts and the router, whose Endpoints get cfg. Nothing joins
// their links yet.
func newRouter(t *testing.T, v6 bool, cfg *endpoint.Config) *routed {
	t.Helper()
	leak.Check(t)
	r := &routed{router: newStack()}
	t.Cleanup(func() { leak.Within(t, "Destroy", r.router.Destroy) })
	for i := range 2 {
		r.links[i], r.lowers[i] = memlink.New(nil), memlink.New(nil)
		r.ends[i] = endpoint.New(r.lowers[i], cfg)
		addNIC(t, r.router, i+1, r.ends[i], fmt.Sprintf("10.0.%d.254/24", i+1), fmt.Sprintf("fd00:%d::fe/64", i+1))
		addr := fmt.Sprintf("10.0.%d.1", i+1)
		if v6 {
			addr = fmt.Sprintf("fd00:%d::1", i+1)
		}
		h, err := transfer.NewHost(endpoint.New(r.links[i], nil), &transfer.HostConfig{Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		r.hosts[i] = h
	}
	forwardAll(t, r.router)
	return r
}

// join makes the wires.
func (r *routed) join(t *testing.T) {
	for i := range 2 {
		t.Cleanup(transfer.JoinBatches(r.links[i], r.lowers[i]))
	}
}

// public is a host that others dial by another address.
type public struct {
	*transfer.Host
	addr string
}

func (h public) Addr() netip.Addr { return netip.MustParseAddr(h.addr) }

// oneWay moves packets from one link to another until stop.
func oneWay(from, to *memlink.Link) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n := from.BatchSize()
		bufs, sizes := make([][]byte, n), make([]int, n)
		for {
			for i := range bufs {
				bufs[i] = make([]byte, from.MTU())
			}
			n, err := from.Read(bufs, sizes, 0)
			if err != nil {
				return
			}
			for i := range n {
				bufs[i] = bufs[i][:sizes[i]]
			}
			to.Write(bufs[:n], 0)
		}
	}()
	return func() {
		from.Close()
		<-done
	}
}

// moved transfers from a client to a server.
func moved(t *testing.T, client, server transfer.Node, cfg *transfer.Config) error {
	t.Helper()
	_, err := transfer.Between(t.Context(), client, server, cfg)
	return err
}

// pulled transfers from a server to a client that dials it.
func pulled(t *testing.T, client, server transfer.Node, cfg *transfer.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), leak.Limit)
	defer cancel()
	ln, err := server.Listen(ctx, 0)
	if err != nil {
		return err
	}
	defer ln.Close()
	sent := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = transfer.Send(ctx, conn, 0, cfg)
			conn.Close()
		}
		sent <- err
	}()
	at := netip.MustParseAddrPort(ln.Addr().String())
	conn, err := client.Dial(ctx, netip.AddrPortFrom(server.Addr(), at.Port()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, _, err := transfer.Receive(ctx, conn, cfg); err != nil {
		return err
	}
	return <-sent
}
