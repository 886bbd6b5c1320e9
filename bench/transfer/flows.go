// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// A Node is one end's TCP. Its methods are safe for concurrent use.
type Node interface {
	// Addr is the address that others dial.
	Addr() netip.Addr
	// Listen listens on a port of Addr; 0 means any. Closing the listener ends a
	// pending Accept.
	Listen(ctx context.Context, port uint16) (net.Listener, error)
	// Dial opens a connection; a done ctx ends the attempt.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Between sends cfg's flows from one node to another in this process. The result
// is the receiver's; of two errors it returns the one that tells more. When it
// returns, its connections and its listener are closed.
func Between(ctx context.Context, from, to Node, cfg *Config) (Result, error) {
	c := cfg.orDefault()
	ctx, cancel := c.bound(ctx)
	defer cancel()
	ln, err := to.Listen(ctx, 0)
	if err != nil {
		return Result{}, err
	}
	defer ln.Close()
	addr, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil {
		return Result{}, fmt.Errorf("transfer: the listener's address: %w", err)
	}
	peer := netip.AddrPortFrom(to.Addr(), addr.Port())

	var sent, received Result
	err = together(ctx, 2, func(ctx context.Context, i int) (err error) {
		if i == 0 {
			received, err = ReceiveAll(ctx, ln, &c)
		} else {
			sent, err = SendAll(ctx, from, peer, &c)
		}
		return err
	})
	if err == nil && sent.Bytes != received.Bytes {
		err = fmt.Errorf("transfer: %d bytes were sent and %d arrived", sent.Bytes, received.Bytes)
	}
	return received, err
}

// SendAll dials cfg.Flows connections from node and sends a flow on each, side by
// side. It closes them before it returns.
func SendAll(ctx context.Context, node Node, to netip.AddrPort, cfg *Config) (Result, error) {
	c := cfg.orDefault()
	ctx, cancel := c.bound(ctx)
	defer cancel()
	results := make([]Result, c.Flows)
	err := together(ctx, c.Flows, func(ctx context.Context, i int) error {
		conn, err := node.Dial(ctx, to)
		if err != nil {
			return fmt.Errorf("transfer: flow %d: %w", i, err)
		}
		defer conn.Close()
		results[i], err = Send(ctx, conn, i, &c)
		return err
	})
	return sum(results), err
}

// ReceiveAll accepts cfg.Flows connections on ln and receives a flow on each,
// side by side. It closes the connections before it returns; ln stays the caller's,
// but is closed if ctx is done or a flow fails before all are accepted.
func ReceiveAll(ctx context.Context, ln net.Listener, cfg *Config) (Result, error) {
	c := cfg.orDefault()
	ctx, cancel := c.bound(ctx)
	defer cancel()
	results := make([]Result, c.Flows)
	var mu sync.Mutex
	seen := map[int]bool{}
	err := together(ctx, c.Flows, func(ctx context.Context, i int) error {
		conn, err := accept(ctx, ln)
		if err != nil {
			return err
		}
		defer conn.Close()
		var flow int
		flow, results[i], err = Receive(ctx, conn, &c)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[flow] || flow >= c.Flows {
			return fmt.Errorf("transfer: flow %d of %d came twice or was not expected", flow, c.Flows)
		}
		seen[flow] = true
		return nil
	})
	return sum(results), err
}

// accept closes ln when ctx is done first: nothing else ends a pending Accept.
func accept(ctx context.Context, ln net.Listener) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	conn, err := ln.Accept()
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("transfer: waiting for a connection: %w", context.Cause(ctx))
	}
	return nil, fmt.Errorf("transfer: %w", err)
}

func sum(results []Result) Result {
	total := results[0]
	for _, r := range results[1:] {
		total.add(r)
	}
	return total
}

// together runs f(0) to f(n-1) side by side, cancels the others when one fails,
// waits for all, and returns the error that tells most.
func together(ctx context.Context, n int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for i := range n {
		wg.Go(func() {
			err := f(ctx, i)
			if err == nil {
				return
			}
			mu.Lock()
			first = worse(first, err)
			mu.Unlock()
			cancel(err)
		})
	}
	wg.Wait()
	return first
}
