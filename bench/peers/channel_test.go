// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"

	"github.com/netstack-offload/netstack-offload/bench/memory"
)

// gvisorChannels is channel.Endpoint with what gVisor has of its own: GSO in the
// transport on the way out, gro.GRO in front of the stack on the way in. The queue holds
// a whole send buffer: GSO comes in bursts, and what 1024 packets leave no room for is
// lost so often that transfers stand still.
func gvisorChannels(cfg *memory.Config) (*memory.Pair, error) {
	var links [2]*channel.Endpoint
	for i := range links {
		links[i] = channel.New(8192, memory.MTU, "")
		links[i].SupportedGSOKind = stack.GVisorGSOSupported
		links[i].LinkEPCapabilities = stack.CapabilityRXChecksumOffload
	}
	return memory.NewPair(cfg, [2]stack.LinkEndpoint{links[0], links[1]}, func() func() {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { mergePackets(ctx, links[0], links[1]) })
		wg.Go(func() { mergePackets(ctx, links[1], links[0]) })
		return func() {
			cancel()
			wg.Wait()
		}
	})
}

// injector is where a GRO delivers: the NIC behind a channel endpoint.
type injector struct {
	to      *channel.Endpoint
	packets int
}

func (i *injector) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	i.packets++
	i.to.InjectInbound(protocol, pkt)
}

func (*injector) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

// maxMerge is how many packets may wait in the GRO: as many as memlink's batch.
const maxMerge = 128

// mergePackets moves packets from one endpoint to the other, through a GRO that is
// flushed when nothing more is there.
func mergePackets(ctx context.Context, from, to *channel.Endpoint) {
	in := &injector{to: to}
	g := &gro.GRO{Dispatcher: in}
	g.Init(true)
	for {
		out := from.ReadContext(ctx)
		if out == nil {
			return // closed or stopped
		}
		for n := 1; out != nil; n++ {
			enqueue(g, out)
			if out = nil; n < maxMerge {
				out = from.Read()
			}
		}
		flush(g, &in.packets)
	}
}

// enqueue takes over out, and hands the GRO its bytes as they would come off a wire:
// contiguous, and shared with nobody.
func enqueue(g *gro.GRO, out *stack.PacketBuffer) {
	in := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(out.ToView())})
	in.NetworkProtocolNumber = out.NetworkProtocolNumber
	in.RXChecksumValidated = true
	g.Enqueue(in)
	in.DecRef()
	out.DecRef()
}
