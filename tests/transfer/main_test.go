// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package transfer tests that data arrives right, or not at all: over links that
// damage, lose, repeat and disorder packets, and through a router.
package transfer

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

var neverDone = context.Background()

func TestMain(m *testing.M) { leak.Main(m) }

func newHost(t *testing.T, link stack.LinkEndpoint, addrs ...string) *transfer.Host {
	t.Helper()
	cfg := &transfer.HostConfig{}
	for _, a := range addrs {
		cfg.Addrs = append(cfg.Addrs, netip.MustParseAddr(a))
	}
	h, err := transfer.NewHost(link, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leak.Within(t, "closing a host", func() { h.Close() }) })
	return h
}

// port is one end of a wire, of either kind: packets go in and out in batches.
type port interface {
	link() stack.LinkEndpoint // what the stack gets: an Endpoint
	offload() *endpoint.Endpoint
	write(batch [][]byte)
	read() [][]byte // waits for at least one packet; nil at the end
	close()
}

// ports makes ports of both ways into an Endpoint.
var ports = map[string]func() port{
	"memlink": func() port {
		l := memlink.New(nil)
		return &memPort{l: l, e: endpoint.New(l, nil)}
	},
	"channel": func() port {
		l := channel.New(1024, 1500, "")
		return &channelPort{l: l, e: endpoint.New(l, nil)}
	},
}

type memPort struct {
	l *memlink.Link
	e *endpoint.Endpoint
}

func (p *memPort) link() stack.LinkEndpoint    { return p.e }
func (p *memPort) offload() *endpoint.Endpoint { return p.e }
func (p *memPort) write(batch [][]byte)        { p.l.Write(batch, 0) }
func (p *memPort) close()                      { p.l.Close() }

func (p *memPort) read() [][]byte {
	n := p.l.BatchSize()
	batch, sizes := make([][]byte, n), make([]int, n)
	for i := range batch {
		batch[i] = make([]byte, 1500)
	}
	n, err := p.l.Read(batch, sizes, 0)
	if err != nil {
		return nil
	}
	for i := range n {
		batch[i] = batch[i][:sizes[i]]
	}
	return batch[:n]
}

type channelPort struct {
	l *channel.Endpoint
	e *endpoint.Endpoint
}

func (p *channelPort) link() stack.LinkEndpoint    { return p.e }
func (p *channelPort) offload() *endpoint.Endpoint { return p.e }
func (p *channelPort) close()                      { p.l.Close() }

// write delivers one packet after the other, in the views that fdbased makes.
func (p *channelPort) write(batch [][]byte) {
	for _, b := range batch {
		var data buffer.Buffer
		for i, rest := 0, b; len(rest) > 0; i++ {
			n := min(len(rest), []int{128, 256, 256, 512, 1024, 65535}[i])
			part := buffer.MakeWithView(buffer.NewViewWithData(rest[:n]))
			data.Merge(&part)
			rest = rest[n:]
		}
		protocol := tcpip.NetworkProtocolNumber(header.IPv4ProtocolNumber)
		if len(b) > 0 && b[0]>>4 == 6 {
			protocol = header.IPv6ProtocolNumber
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: data})
		p.l.InjectInbound(protocol, pkt)
		pkt.DecRef()
	}
}

func (p *channelPort) read() (batch [][]byte) {
	pkt := p.l.ReadContext(neverDone)
	for pkt != nil {
		v := pkt.ToView()
		batch = append(batch, v.ToSlice())
		v.Release()
		pkt.DecRef()
		if len(batch) == 128 {
			break
		}
		pkt = p.l.Read()
	}
	return batch
}

// join moves packets between two ports until stop. What goes from a to b passes
// there, what comes back passes back; each may change a batch, and nil does not.
func join(a, b port, there, back func([][]byte) [][]byte) (stop func()) {
	var wg sync.WaitGroup
	move := func(from, to port, change func([][]byte) [][]byte) {
		for batch := from.read(); batch != nil; batch = from.read() {
			if change != nil {
				batch = change(batch)
			}
			to.write(batch)
		}
	}
	wg.Go(func() { move(a, b, there) })
	wg.Go(func() { move(b, a, back) })
	return func() {
		a.close()
		b.close()
		wg.Wait()
	}
}
