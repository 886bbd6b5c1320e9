// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"context"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

// channelQueue holds more packets than the send buffer of a flow: a full channel drops.
const channelQueue = 16 << 10

// Memory measures between two stacks of this process.
func Memory(ctx context.Context, r *Run) (result.Sample, error) {
	return memory(ctx, r, memoryPair(r))
}

// A pair is two links that are joined in memory; stop ends the joint.
type pair struct {
	a, b stack.LinkEndpoint
	stop func()
}

func memoryPair(r *Run) pair {
	mtu := uint32(r.MTU)
	if r.Mode.Offload {
		cfg := &memlink.Config{MTU: mtu, RXChecksumOffload: r.Mode.Trust}
		a, b := memlink.New(cfg), memlink.New(cfg)
		return pair{endpoint.New(a, nil), endpoint.New(b, nil), transfer.JoinBatches(a, b)}
	}
	queue := channelQueue * max(1, r.Transfer.Flows)
	ends := []*channel.Endpoint{channel.New(queue, mtu, ""), channel.New(queue, mtu, "")}
	for _, e := range ends {
		if r.Mode.GSO {
			e.SupportedGSOKind = stack.GVisorGSOSupported
		}
		if r.Mode.Trust {
			e.LinkEPCapabilities |= stack.CapabilityRXChecksumOffload
		}
	}
	return pair{ends[0], ends[1], transfer.JoinChannels(ends[0], ends[1])}
}

// memory measures from one stack to the other.
func memory(ctx context.Context, r *Run, p pair) (s result.Sample, err error) {
	defer p.stop()
	addrs := r.Addresses()
	a, err := transfer.NewHost(p.a, &transfer.HostConfig{Addrs: addrs[:1], Buffer: r.Buffer})
	if err != nil {
		return s, err
	}
	defer closeHost(a, &err)
	b, err := transfer.NewHost(p.b, &transfer.HostConfig{Addrs: addrs[1:], Buffer: r.Buffer})
	if err != nil {
		return s, err
	}
	defer closeHost(b, &err)
	if r.Kind == result.Latency {
		return memoryLatency(ctx, r, a, b)
	}
	start := now()
	got, err := transfer.Between(ctx, a, b, &r.Transfer)
	if err != nil {
		return s, err
	}
	r.rate(&s, got, start)
	r.count(&s, b.Received(), got.Bytes, true)
	s.Resent = hostResent(a)
	return s, nil
}

func memoryLatency(ctx context.Context, r *Run, a, b *transfer.Host) (s result.Sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.limit(), fmt.Errorf("not finished within %v", r.limit()))
	defer cancel()
	ln, err := b.Listen(ctx, 0)
	if err != nil {
		return s, err
	}
	defer ln.Close()
	port := netip.MustParseAddrPort(ln.Addr().String()).Port()
	echo := make(chan error, 1)
	go func() { echo <- transfer.Echo(ctx, ln) }()
	s, err = dialAndTrip(ctx, a, netip.AddrPortFrom(b.Addr(), port), r)
	if err != nil {
		cancel() // or Echo waits
	}
	if echoErr := <-echo; err == nil {
		err = echoErr
	}
	return s, err
}

// dialAndTrip measures round trips to an echo.
func dialAndTrip(ctx context.Context, from transfer.Node, to netip.AddrPort, r *Run) (s result.Sample, err error) {
	conn, err := from.Dial(ctx, to)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	trips, err := transfer.RoundTrips(ctx, conn, r.Transfer.Duration)
	return roundTrips(trips), err
}
