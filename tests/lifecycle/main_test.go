// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package lifecycle tests who may wait for whom: attaching, detaching, closing
// and removing, with traffic and without, over every kind of link. A failure is
// mostly a deadlock, which leak.Within ends.
package lifecycle

import (
	"encoding/binary"
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
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// dispatcher counts what it is given. hook, if set, is called for each packet.
type dispatcher struct {
	mu   sync.Mutex
	got  [][]byte
	hook func()
}

func (d *dispatcher) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	v := pkt.ToView()
	defer v.Release()
	d.mu.Lock()
	d.got = append(d.got, v.ToSlice())
	hook := d.hook
	d.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (*dispatcher) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

func (d *dispatcher) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.got
	d.got = nil
	return g
}

func (d *dispatcher) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.got)
}

// nic is a dispatcher to which all packets are local.
type nic struct{ dispatcher }

func (*nic) CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool { return true }
func (*nic) Promiscuous() bool                                                 { return false }
func (*nic) Spoofing() bool                                                    { return false }

// barrier holds up whoever comes until it is opened.
type barrier struct {
	inside chan struct{} // gets one for each that came
	open   chan struct{}
}

func newBarrier() *barrier {
	return &barrier{inside: make(chan struct{}, 10000), open: make(chan struct{})}
}

func (b *barrier) wait() {
	b.inside <- struct{}{}
	<-b.open
}

// segment is the i-th of a stream of segments that merge.
func segment(flow uint16, i int) []byte {
	seq := uint32(i * 100)
	return packettest.TCP{SrcPort: flow, Seq: seq, IP: packettest.IP{ID: uint16(i)}, Payload: packettest.Stream(seq, 100)}.Bytes()
}

func flowOf(ip []byte) uint16 { return binary.BigEndian.Uint16(ip[20:]) }
func seqOf(ip []byte) uint32  { return binary.BigEndian.Uint32(ip[24:]) }

// inject delivers segments first to last-1 of a flow.
func inject(d stack.NetworkDispatcher, flow uint16, first, last int) {
	for i := first; i < last; i++ {
		deliver(d, segment(flow, i))
	}
}

func deliver(d stack.NetworkDispatcher, ip []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(ip)})
	d.DeliverNetworkPacket(header.IPv4ProtocolNumber, pkt)
	pkt.DecRef()
}

// overChannel is an Endpoint over a channel that is attached to d.
func overChannel(t *testing.T, cfg *endpoint.Config, d stack.NetworkDispatcher) *endpoint.Endpoint {
	t.Helper()
	leak.Check(t)
	if cfg == nil {
		cfg = &endpoint.Config{Workers: 1}
	}
	e := endpoint.New(channel.New(64, 1500, ""), cfg)
	e.Attach(d)
	t.Cleanup(func() { leak.Within(t, "Close", e.Close) })
	return e
}

// held is an Endpoint whose only worker is held up in a delivery, with n
// segments queued behind the one it delivers.
func held(t *testing.T, n int) (e *endpoint.Endpoint, d *nic, b *barrier) {
	t.Helper()
	d, b = &nic{}, newBarrier()
	d.hook = b.wait
	e = overChannel(t, nil, d)
	inject(e, 1, 0, 1)
	leak.Done(t, "the worker's delivery", b.inside)
	inject(e, 1, 1, 1+n)
	return e, d, b
}

func newHost(t *testing.T, link stack.LinkEndpoint, qdisc stack.QueueingDiscipline, addr string) *transfer.Host {
	t.Helper()
	return newHostWith(t, link, qdisc, addr, 0)
}

// newHostWith makes a host whose sockets have buffers of that many bytes; 0 means
// as usual.
func newHostWith(t *testing.T, link stack.LinkEndpoint, qdisc stack.QueueingDiscipline, addr string, buffer int) *transfer.Host {
	t.Helper()
	h, err := transfer.NewHost(link, &transfer.HostConfig{QDisc: qdisc, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Buffer: buffer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leak.Within(t, "closing a host", func() { h.Close() }) })
	return h
}
