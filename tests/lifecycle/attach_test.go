// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"sync"
	"sync/atomic"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// Before Attach nothing is delivered, after it everything is.
func TestAttach(t *testing.T) {
	leak.Check(t)
	e := endpoint.New(channel.New(1, 1500, ""), nil)
	defer e.Close()
	if e.IsAttached() {
		t.Error("attached")
	}
	inject(e, 1, 0, 3)
	var d nic
	e.Attach(&d)
	if !e.IsAttached() {
		t.Error("not attached")
	}
	inject(e, 1, 0, 1)
	leak.Until(t, "delivery", func() bool { return d.len() == 1 })
	if s := e.Stats(); s.DroppedDetached != 3 {
		t.Errorf("counted %+v", s)
	}
}

// Attach(nil) returns while the worker is inside a delivery; what is queued is
// released and counted, and is never delivered.
func TestDetachWithPacketsQueued(t *testing.T) {
	e, d, b := held(t, 20)
	leak.Within(t, "Attach(nil)", func() { e.Attach(nil) })
	leak.Within(t, "Wait", e.Wait)
	if e.IsAttached() {
		t.Error("attached")
	}
	inject(e, 1, 21, 25)
	close(b.open)
	leak.Within(t, "Close", e.Close)
	if n := d.len(); n != 1 {
		t.Errorf("%d packets delivered, want only the one under way", n)
	}
	if s := e.Stats(); s.DroppedDetached != 24 || s.Received != 25 || s.Delivered != 1 {
		t.Errorf("counted %+v, want 20 dropped that waited and 4 that came", s)
	}
	noWorkers(t)
}

// noWorkers waits until no worker is left: Close waits until all have said that
// they leave, and leaving takes another moment.
func noWorkers(t *testing.T) {
	t.Helper()
	leak.Until(t, "the end of all workers", func() bool { return len(leak.Goroutines("endpoint.(*shard)")) == 0 })
}

// The rest of a batch of frames is dropped when the stack leaves meanwhile.
func TestDetachDuringDeliverFrames(t *testing.T) {
	d, b := &nic{}, newBarrier()
	d.hook = b.wait
	e := overChannel(t, nil, d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.DeliverFrames([]endpoint.Frame{
			{Data: segment(1, 0), Protocol: 0x800}, {Data: segment(2, 0), Protocol: 0x800}, {Data: segment(3, 0), Protocol: 0x800},
		})
	}()
	leak.Done(t, "the delivery", b.inside)
	leak.Within(t, "Attach(nil)", func() { e.Attach(nil) })
	close(b.open)
	leak.Done(t, "DeliverFrames", done)
	if s := e.Stats(); d.len() != 1 || s.DroppedDetached != 2 || s.Received != 3 || s.Delivered != 1 {
		t.Errorf("%d packets delivered, counted %+v", d.len(), s)
	}
}

// A dispatcher may be replaced by another without nil between (bridges do so).
// What is queued goes to the new one, by its rule.
func TestReplace(t *testing.T) {
	e, d, b := held(t, 20)
	var bridge dispatcher // no NIC: nothing may be merged
	leak.Within(t, "Attach", func() { e.Attach(&bridge) })
	if !e.IsAttached() || !e.Stats().NoNIC {
		t.Error("the new dispatcher is not in place")
	}
	close(b.open)
	leak.Until(t, "delivery of what was queued", func() bool { return d.len()+bridge.len() == 21 })
	if d.len() != 1 || bridge.len() != 20 {
		t.Errorf("%d packets for the old dispatcher, %d for the new", d.len(), bridge.len())
	}
	inject(e, 1, 21, 25)
	leak.Until(t, "delivery to the new dispatcher", func() bool { return bridge.len() == 24 })
	for i, ip := range bridge.take() {
		if len(ip) != 140 || seqOf(ip) != uint32(i+1)*100 {
			t.Fatalf("packet %d has %d bytes and sequence number %d", i, len(ip), seqOf(ip))
		}
	}
}

// Attach(nil) and then Attach(d) works, also while the worker of the time before
// is still inside its delivery.
func TestReattach(t *testing.T) {
	e, d, b := held(t, 5)
	e.Attach(nil)
	var again nic
	e.Attach(&again)
	inject(e, 1, 0, 1)
	leak.Until(t, "delivery to the new dispatcher", func() bool { return again.len() == 1 })
	close(b.open)
	for range 20 {
		e.Attach(nil)
		e.Attach(&again)
		inject(e, 2, 0, 1)
		leak.Until(t, "delivery", func() bool { return again.len() == 1 || len(again.take()) > 0 })
	}
	if d.len() != 1 {
		t.Errorf("%d packets for the old dispatcher", d.len())
	}
}

func TestReattachMemlink(t *testing.T) {
	leak.Check(t)
	l := memlink.New(nil)
	e := endpoint.New(l, nil)
	defer e.Close()
	for range 3 {
		var d nic
		e.Attach(&d)
		l.Write([][]byte{segment(1, 0), segment(1, 1)}, 0)
		if got := d.take(); len(got) != 1 || len(got[0]) != 240 {
			t.Errorf("%d packets, want one merged", len(got))
		}
		e.Attach(nil)
		l.Write([][]byte{segment(1, 0)}, 0)
		if d.len() != 0 {
			t.Error("delivered after Attach(nil)")
		}
	}
}

// Close is final, and may be called again.
func TestCloseTwice(t *testing.T) {
	var d nic
	e := overChannel(t, nil, &d)
	inject(e, 1, 0, 3)
	for range 3 {
		leak.Within(t, "Close", e.Close)
		noWorkers(t)
	}
	d.take()
	e.Attach(&d)
	inject(e, 1, 3, 6)
	if e.IsAttached() || d.len() != 0 {
		t.Error("attached, or delivered, after Close")
	}
}

// Close waits for the worker.
func TestCloseWaits(t *testing.T) {
	e, _, b := held(t, 3)
	var closed atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Close()
		closed.Store(true)
	}()
	leak.Until(t, "Attach(nil) in Close", func() bool { return !e.IsAttached() })
	if closed.Load() {
		t.Error("Close returned while the worker was delivering")
	}
	close(b.open)
	leak.Done(t, "Close", done)
}

// Everything at once, Attach and Close included: for the race detector, the leak
// checks and the watchdog.
func TestConcurrentEverything(t *testing.T) {
	leak.Check(t)
	for round := range 5 {
		l := memlink.New(&memlink.Config{QueuePackets: 16})
		e := endpoint.New(l, &endpoint.Config{Workers: 2, QueuePackets: 8})
		var n nic
		var bridge dispatcher
		e.Attach(&n)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				for j := range 200 {
					inject(e, uint16(i+1), j, j+3)
				}
			})
			wg.Go(func() {
				for j := range 200 {
					l.Write([][]byte{segment(uint16(i+11), j), segment(uint16(i+11), j+1)}, 0)
				}
			})
			wg.Go(func() {
				for range 200 {
					var list stack.PacketBufferList
					list.PushBack(superPacket())
					e.WritePackets(list)
					list.Reset()
				}
			})
		}
		wg.Go(func() {
			bufs, sizes := [][]byte{make([]byte, 1500), make([]byte, 1500)}, make([]int, 2)
			for {
				if _, err := l.Read(bufs, sizes, 0); err != nil {
					return
				}
			}
		})
		wg.Go(func() {
			for range 100 {
				e.Stats()
				l.Stats()
				e.SetMTU(1400)
				e.MTU()
			}
		})
		wg.Go(func() {
			for range 50 {
				e.Attach(&bridge)
				e.Attach(nil)
				e.Attach(&n)
			}
			if round%2 == 0 {
				e.Close()
			}
		})
		leak.Until(t, "the attaching", func() bool { return n.len()+bridge.len() > 100 || !e.IsAttached() })
		leak.Within(t, "Close", e.Close)
		leak.Within(t, "all goroutines", wg.Wait)
		s := e.Stats()
		if got := s.Delivered + s.DroppedDetached + s.DroppedQueueFull; got > s.Received {
			t.Errorf("counted %+v: more went than came", s)
		}
	}
}
