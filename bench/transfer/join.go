// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// JoinChannels makes a wire of two channel endpoints: what leaves one arrives at
// the other, packet by packet, moved by one goroutine each way. stop ends both and
// waits for them; call it after the hosts over a and b are closed, or packets on
// their way are lost. The endpoints stay the caller's.
func JoinChannels(a, b *channel.Endpoint) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { movePackets(ctx, a, b) })
	wg.Go(func() { movePackets(ctx, b, a) })
	return func() {
		cancel()
		wg.Wait()
	}
}

func movePackets(ctx context.Context, from, to *channel.Endpoint) {
	for {
		out := from.ReadContext(ctx)
		if out == nil {
			return // closed or stopped
		}
		in := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: wire(out)})
		to.InjectInbound(out.NetworkProtocolNumber, in)
		in.DecRef()
		out.DecRef()
	}
}

// wire is the packet's bytes as a receiver gets them: contiguous, and shared with
// nobody. Handing on the sender's views would spare the copy that any real link makes.
func wire(pkt *stack.PacketBuffer) buffer.Buffer {
	return buffer.MakeWithView(pkt.ToView())
}

// BatchLink is a link whose other end is a batch interface: memlink's Link, or a
// device like wireguard-go's tun.Device. Read blocks until there is a packet and
// fails once the link is closed.
type BatchLink interface {
	Read(bufs [][]byte, sizes []int, offset int) (int, error)
	Write(bufs [][]byte, offset int) (int, error)
	BatchSize() int
	MTU() uint32
	Close()
}

// JoinBatches makes a wire of two batch links: what is read from one is written
// to the other, batch by batch, moved by one goroutine each way. stop closes both
// links and waits for the goroutines; call it after the hosts over a and b are closed.
func JoinBatches(a, b BatchLink) (stop func()) {
	var wg sync.WaitGroup
	wg.Go(func() { moveBatches(a, b) })
	wg.Go(func() { moveBatches(b, a) })
	return func() {
		a.Close()
		b.Close()
		wg.Wait()
	}
}

func moveBatches(from, to BatchLink) {
	size, mtu := from.BatchSize(), int(from.MTU())
	bufs, full, sizes := make([][]byte, size), make([][]byte, size), make([]int, size)
	for i := range full {
		full[i] = make([]byte, mtu)
	}
	for {
		n, err := from.Read(full, sizes, 0)
		if err != nil {
			return
		}
		for i := range n {
			bufs[i] = full[i][:sizes[i]]
		}
		// A packet the other end cannot take is lost, as on a wire.
		to.Write(bufs[:n], 0)
	}
}
