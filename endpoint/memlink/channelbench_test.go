// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"context"
	"testing"

	"gvisor.dev/gvisor/pkg/refs"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

// channelKinds are the two that are compared packet by packet.
var channelKinds = []struct {
	name string
	new  func() channelEndpoint
}{
	{"channel.Endpoint", func() channelEndpoint { return channel.New(512, 1500, "") }},
	{"memlink.Channel", func() channelEndpoint { return memlink.NewChannel(512, 1500, "") }},
}

// withoutLeakCheck has packets cost what they cost outside of tests.
func withoutLeakCheck(b *testing.B) {
	mode := refs.GetLeakMode()
	refs.SetLeakMode(refs.NoLeakChecking)
	b.Cleanup(func() { refs.SetLeakMode(mode) })
}

func benchmarkChannels(b *testing.B, run func(b *testing.B, c channelEndpoint)) {
	for _, kind := range channelKinds {
		b.Run(kind.name, func(b *testing.B) {
			withoutLeakCheck(b)
			c := kind.new()
			c.Attach(discard{})
			defer c.Close()
			b.ReportAllocs()
			run(b, c)
		})
	}
}

// discard is a dispatcher that does nothing.
type discard struct{ stack.NetworkDispatcher }

func (discard) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, _ *stack.PacketBuffer) {}

// BenchmarkChannelInject is one packet in.
func BenchmarkChannelInject(b *testing.B) {
	benchmarkChannels(b, func(b *testing.B, c channelEndpoint) {
		pkt := raw(datagram("x").Bytes())
		defer pkt.DecRef()
		for b.Loop() {
			c.InjectInbound(header.IPv4ProtocolNumber, pkt)
		}
	})
}

// BenchmarkChannelRead is one packet out, read as soon as it is sent.
func BenchmarkChannelRead(b *testing.B) {
	benchmarkChannels(b, func(b *testing.B, c channelEndpoint) {
		pkt := raw(datagram("x").Bytes())
		defer pkt.DecRef()
		for b.Loop() {
			write(c, pkt.Clone())
			c.Read().DecRef()
		}
	})
}

// BenchmarkChannelReadMany is one packet out, where 64 are sent before they are
// read.
func BenchmarkChannelReadMany(b *testing.B) {
	benchmarkChannels(b, func(b *testing.B, c channelEndpoint) {
		const many = 64
		pkt := raw(datagram("x").Bytes())
		defer pkt.DecRef()
		for n := 0; n < b.N; n += many {
			for range many {
				write(c, pkt.Clone())
			}
			for range many {
				c.Read().DecRef()
			}
		}
	})
}

// BenchmarkChannelRoundTrip is a packet to another goroutine that waits for it,
// and its answer.
func BenchmarkChannelRoundTrip(b *testing.B) {
	for _, kind := range channelKinds {
		b.Run(kind.name, func(b *testing.B) {
			withoutLeakCheck(b)
			ctx, cancel := context.WithCancel(context.Background())
			there, back := kind.new(), kind.new()
			there.Attach(discard{})
			back.Attach(discard{})
			pkt := raw(datagram("x").Bytes())
			defer pkt.DecRef()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for got := there.ReadContext(ctx); got != nil; got = there.ReadContext(ctx) {
					got.DecRef()
					write(back, pkt.Clone())
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				write(there, pkt.Clone())
				back.ReadContext(ctx).DecRef()
			}
			cancel()
			<-done
			there.Close()
			back.Close()
		})
	}
}

// BenchmarkChannelTransfer is TCP between two stacks whose links are read and
// written packet by packet; an operation is 1 MiB.
func BenchmarkChannelTransfer(b *testing.B) {
	newLink := channelKinds[1].new
	bare := func(c channelEndpoint) stack.LinkEndpoint { return c }
	for _, side := range []struct {
		name string
		new  func() channelEndpoint
		wrap func(channelEndpoint) stack.LinkEndpoint
	}{
		{"channel.Endpoint", channelKinds[0].new, bare},
		{"memlink.Channel", newLink, bare},
		{"endpoint-over-memlink.Channel", newLink, func(c channelEndpoint) stack.LinkEndpoint { return endpoint.New(c, nil) }},
	} {
		b.Run(side.name, func(b *testing.B) {
			withoutLeakCheck(b)
			x, y := side.new(), side.new()
			from, to := newExampleHost(side.wrap(x), "10.0.0.1"), newExampleHost(side.wrap(y), "10.0.0.2")
			stop := joinOneByOne(x, y)
			b.SetBytes(1 << 20)
			b.ResetTimer()
			if _, err := transfer.Between(b.Context(), from, to, &transfer.Config{Bytes: int64(b.N) << 20}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			from.Close()
			to.Close()
			stop()
		})
	}
}
