// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// loopback is where iperf3's client finds one proxy, and the other finds the server.
var loopback = netip.MustParseAddr("127.0.0.1")

// runProxy is shaped like gVisor's test/benchmarks/tcp with --client, --server and
// --ideal: an iperf3 client, a proxy that dials by netstack, a wire, a proxy that listens by
// netstack, an iperf3 server. Unlike there, both proxies are goroutines of one
// process, and no bridges stand between.
func (e *end) runProxy(r *Run) (s result.Sample, err error) {
	w, err := e.openSpan(r)
	if err != nil {
		return s, err
	}
	defer w.close(&err)
	ctx, cancel := context.WithTimeoutCause(e.ctx, r.limit(), fmt.Errorf("not finished within %v", r.limit()))
	defer cancel()
	serverPort, stop, err := startIperfServer(ctx)
	if err != nil {
		return s, err
	}
	defer stop()
	here := &transfer.Kernel{Address: loopback, CongestionControl: e.control}
	farLn, err := w.far.Listen(ctx, e.port)
	if err != nil {
		return s, err
	}
	defer startProxy(ctx, farLn, here, netip.AddrPortFrom(loopback, serverPort))()
	nearLn, err := here.Listen(ctx, 0)
	if err != nil {
		return s, err
	}
	defer startProxy(ctx, nearLn, w.near, netip.AddrPortFrom(w.far.Addr(), e.port))()

	before, err := w.near.resent()
	if err != nil {
		return s, err
	}
	start := now()
	got, err := runIperfClient(ctx, r, netip.MustParseAddrPort(nearLn.Addr().String()).Port())
	if err != nil {
		return s, err
	}
	r.rate(&s, got, start)
	after, err := w.near.resent()
	s.Resent = after - before
	r.count(&s, w.far.count(), got.Bytes, true)
	if r.Mode.Kernel {
		s.CPUPerGB = -1
	}
	return s, err
}

// A span is a veth pair and who is at its ends: two netstacks, or the kernel twice.
type span struct {
	near, far *party
	undo      []func() error
}

// close takes it apart, and reports what goes wrong, unless there is a worse error.
func (w *span) close(err *error) {
	for _, f := range slices.Backward(w.undo) {
		if undoErr := f(); *err == nil {
			*err = undoErr
		}
	}
}

func (e *end) openSpan(r *Run) (w *span, err error) {
	if r.Mode.Kernel {
		return e.openKernelSpan(r)
	}
	pair, err := openWire(r, nil)
	if err != nil {
		return nil, err
	}
	w = &span{undo: []func() error{func() error { pair.close(); return nil }}}
	defer func() {
		if err != nil {
			w.close(&err)
		}
	}()
	addrs := r.Addresses()
	if w.near, err = e.addNetstack(w, r, &place{kernelDevice, clientMAC, addrs[0]}); err != nil {
		return nil, err
	}
	if w.far, err = e.addNetstack(w, r, &place{stackDevice, stackMAC, addrs[1]}); err != nil {
		return nil, err
	}
	// Let no packets arrive while the stacks are taken apart.
	w.undo = append(w.undo, func() error { return rtnetlink.SetDown(kernelDevice) })
	return w, nil
}

// A place is an end of a veth pair for a netstack.
type place struct {
	device string
	mac    tcpip.LinkAddress
	addr   netip.Addr
}

func (e *end) addNetstack(w *span, r *Run, at *place) (*party, error) {
	p, err := openPacketSocket(at.device, at.mac, r.Mode.Super())
	if err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { p.close(); return nil })
	h, err := e.newHost(p, r, []netip.Addr{at.addr})
	if err != nil {
		return nil, err
	}
	w.undo = append(w.undo, h.Close)
	return &party{
		Node:   h,
		resent: func() (uint64, error) { return hostResent(h), nil },
		count:  h.Received,
	}, nil
}

func (e *end) openKernelSpan(r *Run) (*span, error) {
	k, pair, err := e.openKernel(r)
	if err != nil {
		return nil, err
	}
	return &span{
		near: &party{Node: &transfer.Kernel{Address: r.Addresses()[0], CongestionControl: e.control}, resent: kernelResent},
		far:  &party{Node: k, count: func() transfer.Counts { return transfer.Counts{} }},
		undo: []func() error{func() error {
			pair.close()
			k.ns.Close()
			return nil
		}},
	}, nil
}

// startProxy sends on what comes to ln, by a connection of node's for each, and what
// comes back. stop ends it, and all connections.
func startProxy(ctx context.Context, ln net.Listener, node transfer.Node, to netip.AddrPort) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { relay(ctx, in, node, to) })
		}
	})
	return func() {
		cancel()
		ln.Close()
		wg.Wait()
	}
}

func relay(ctx context.Context, in net.Conn, node transfer.Node, to netip.AddrPort) {
	defer in.Close()
	out, err := node.Dial(ctx, to)
	if err != nil {
		return // the client sees its connection end
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() {
		in.Close()
		out.Close()
	})
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { copyAll(in, out) })
	wg.Go(func() { copyAll(out, in) })
	wg.Wait()
}

// copyAll copies until the end, and passes that on.
func copyAll(to, from net.Conn) {
	io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
