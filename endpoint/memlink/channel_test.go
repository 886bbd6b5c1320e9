// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// channelEndpoint is what both kinds have: all methods of channel.Endpoint.
type channelEndpoint interface {
	stack.LinkEndpoint
	stack.GSOEndpoint
	InjectInbound(tcpip.NetworkProtocolNumber, *stack.PacketBuffer)
	Read() *stack.PacketBuffer
	ReadContext(context.Context) *stack.PacketBuffer
	Drain() int
	NumQueued() int
	AddNotify(channel.Notification) *channel.NotificationHandle
	RemoveNotify(*channel.NotificationHandle)
}

var _, _ channelEndpoint = (*channel.Endpoint)(nil), (*memlink.Channel)(nil)

func newChannel(t testing.TB, size int, mtu uint32) (*memlink.Channel, *sink) {
	t.Helper()
	leak.Check(t)
	c, s := memlink.NewChannel(size, mtu, "\x02\x00\x00\x00\x00\x01"), new(sink)
	c.Attach(s)
	t.Cleanup(c.Close)
	return c, s
}

// write gives c one packet and gives up its reference.
func write(c channelEndpoint, pkt *stack.PacketBuffer) {
	var list stack.PacketBufferList
	list.PushBack(pkt)
	defer list.Reset()
	c.WritePackets(list)
}

// readOne reads a packet's bytes, nil if there is none.
func readOne(c *memlink.Channel) []byte {
	pkt := c.Read()
	if pkt == nil {
		return nil
	}
	defer pkt.DecRef()
	v := pkt.ToView()
	defer v.Release()
	return append([]byte(nil), v.AsSlice()...)
}

func TestChannelSplits(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		c, _ := newChannel(t, 8, 1500)
		super := packettest.TCP{IP: packettest.IP{V6: v6, ID: 9}, Seq: 5, Flags: packettest.ACK | packettest.PSH, Payload: make([]byte, 5000)}
		ack := packettest.TCP{IP: packettest.IP{V6: v6}, Flags: packettest.ACK}
		write(c, packet(super, 1400))
		write(c, packet(ack, 1400))
		write(c, raw(datagram("x").Bytes()))
		if n := c.NumQueued(); n != 3 {
			t.Errorf("%d queued, want 3", n)
		}
		want := append(segments(super, 1400), ack.Bytes(), datagram("x").Bytes())
		var got [][]byte
		for p := readOne(c); p != nil; p = readOne(c) {
			got = append(got, p)
			if left := len(want) - len(got); (c.NumQueued() > 0) != (left > 0) {
				t.Errorf("%d queued with %d packets to come", c.NumQueued(), left)
			}
		}
		same(t, got, want...)
	}
}

// A packet belongs to its reader alone, although its sender still holds it.
func TestChannelGivesCopies(t *testing.T) {
	c, _ := newChannel(t, 8, 1500)
	mine := raw(datagram("abc").Bytes())
	defer mine.DecRef()
	write(c, mine.IncRef())
	theirs := c.Read()
	theirs.Data().TrimFront(20)
	theirs.DecRef()
	if mine.Size() != len(datagram("abc").Bytes()) {
		t.Error("reading changed the sender's packet")
	}
}

func TestChannelInject(t *testing.T) {
	c, s := newChannel(t, 8, 1500)
	pkt := raw(datagram("abc").Bytes())
	defer pkt.DecRef()
	c.InjectInbound(header.IPv4ProtocolNumber, pkt)
	if got := s.take(); len(got) != 1 {
		t.Errorf("%d packets delivered before InjectInbound returned, want 1", len(got))
	}
	c.Attach(nil)
	c.InjectInbound(header.IPv4ProtocolNumber, pkt)
	if got, st := s.take(), c.Stats(); len(got) != 0 || st.Written != 2 || st.DroppedDetached != 1 {
		t.Errorf("detached: %d delivered, %+v", len(got), st)
	}
}

// notifier reads one packet for each call, as wireguard-go's tun/netstack does.
type notifier struct {
	c     channelEndpoint
	calls int
	sizes []int
}

func (n *notifier) WriteNotify() {
	n.calls++
	if pkt := n.c.Read(); pkt != nil {
		n.sizes = append(n.sizes, pkt.Size())
		pkt.DecRef()
	}
}

func TestChannelNotify(t *testing.T) {
	c, _ := newChannel(t, 8, 1500)
	n := &notifier{c: c}
	other := &notifier{c: c}
	c.RemoveNotify(c.AddNotify(other))
	h := c.AddNotify(n)
	write(c, packet(packettest.TCP{Flags: packettest.ACK, Payload: make([]byte, 3000)}, 1400))
	write(c, packet(packettest.TCP{Flags: packettest.ACK}, 1400))
	write(c, raw(datagram("x").Bytes()))
	write(c, raw(datagram(string(make([]byte, 1600))).Bytes())) // dropped: cannot be split
	if fmt.Sprint(n.sizes) != "[1440 1440 240 40 29]" || n.calls != 5 || other.calls != 0 {
		t.Errorf("%d calls, in which packets of %v were read; %d calls after RemoveNotify", n.calls, n.sizes, other.calls)
	}
	c.RemoveNotify(h)
	c.RemoveNotify(h)
	write(c, raw(datagram("x").Bytes()))
	if n.calls != 5 || c.Drain() != 1 || c.Drain() != 0 {
		t.Errorf("%d calls after RemoveNotify", n.calls)
	}
}

func TestChannelReadContext(t *testing.T) {
	c, _ := newChannel(t, 64, 1500)
	ctx, cancel := context.WithCancel(t.Context())
	var got atomic.Int32
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				pkt := c.ReadContext(ctx)
				if pkt == nil {
					return
				}
				pkt.DecRef()
				got.Add(1)
			}
		})
	}
	// Several at once and one by one: no reader sleeps while there is a packet.
	for range 100 {
		before := got.Load()
		write(c, packet(packettest.TCP{Flags: packettest.ACK, Payload: make([]byte, 3000)}, 1400))
		write(c, raw(datagram("x").Bytes()))
		leak.Until(t, "4 packets", func() bool { return got.Load() == before+4 })
	}
	cancel()
	leak.Within(t, "ReadContext, ended by its context", readers.Wait)

	done := make(chan *stack.PacketBuffer)
	go func() { done <- c.ReadContext(context.Background()) }()
	time.Sleep(time.Millisecond)
	c.Close()
	if pkt := leak.Done(t, "ReadContext, ended by Close", done); pkt != nil {
		t.Error("a packet after Close")
	}
	c.Close()
}

// What is read in part belongs to its stack, and goes with it.
func TestChannelDetach(t *testing.T) {
	c, s := newChannel(t, 8, 1500)
	super := packettest.TCP{Flags: packettest.ACK, Payload: make([]byte, 5000)}
	write(c, packet(super, 1400))
	write(c, packet(super, 1400))
	readOne(c)
	c.Attach(nil)
	if p := readOne(c); p != nil {
		t.Error("a packet of a stack that is gone")
	}
	if n := c.NumQueued(); n != 0 {
		t.Errorf("%d queued after Attach(nil)", n)
	}
	c.Attach(s)
	write(c, raw(datagram("x").Bytes()))
	if p := readOne(c); p == nil {
		t.Error("no packet after Attach")
	}
}

// The line that changes, with TCP over it: bare, and under an Endpoint.
func TestChannelTransfer(t *testing.T) {
	for _, merge := range []bool{false, true} {
		t.Run(fmt.Sprint("endpoint=", merge), func(t *testing.T) {
			leak.Check(t)
			a, b := memlink.NewChannel(512, 1500, ""), memlink.NewChannel(512, 1500, "")
			var linkA, linkB stack.LinkEndpoint = a, b
			if merge {
				linkA, linkB = endpoint.New(a, nil), endpoint.New(b, nil)
			}
			stop := joinOneByOne(a, b)
			defer stop()
			from, to := newHost(t, linkA, nil, "10.0.0.1"), newHost(t, linkB, nil, "10.0.0.2")
			r, err := transfer.Between(t.Context(), from, to, &transfer.Config{Flows: 2, Bytes: 4 << 20, Stall: leak.Limit})
			if err != nil || r.Bytes != 8<<20 {
				t.Fatalf("%d bytes, %v", r.Bytes, err)
			}
			if sent := from.Sent(); sent.MeanBytes() < 3000 {
				t.Errorf("sent in packets of %.0f bytes: want super-packets", sent.MeanBytes())
			}
		})
	}
}

// joinOneByOne carries packets between two links until stop is called.
func joinOneByOne(a, b channelEndpoint) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var pumps sync.WaitGroup
	carry := func(from, to channelEndpoint) {
		for {
			pkt := from.ReadContext(ctx)
			if pkt == nil {
				return
			}
			in := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: pkt.ToBuffer()})
			to.InjectInbound(pkt.NetworkProtocolNumber, in)
			in.DecRef()
			pkt.DecRef()
		}
	}
	pumps.Go(func() { carry(a, b) })
	pumps.Go(func() { carry(b, a) })
	return func() {
		cancel()
		pumps.Wait()
	}
}
