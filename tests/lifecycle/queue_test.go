// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// awaitDelivered waits until n packets are dealt with, and d has what was delivered
// of them.
func awaitDelivered(t *testing.T, e *endpoint.Endpoint, d *dispatcher, n uint64) {
	t.Helper()
	leak.Until(t, "the workers", func() bool {
		s := e.Stats()
		return s.Received == n && uint64(d.len()) == s.Delivered
	})
}

// A full queue makes the deliverer wait as long as the worker gets on. Should the
// machine stand still for 10 ms, a packet is dropped with every right: so it is
// tried several times.
func TestFullQueueWaits(t *testing.T) {
	const n = 60
	leak.Check(t)
	for range 10 {
		var d dispatcher
		d.hook = func() { time.Sleep(time.Millisecond) }
		e := endpoint.New(channel.New(1, 1500, ""), &endpoint.Config{Workers: 1, QueuePackets: 4})
		defer e.Close()
		e.Attach(&d)
		leak.Within(t, "delivering", func() { inject(e, 1, 0, n) })
		awaitDelivered(t, e, &d, n)
		got := d.take()
		for i := 1; i < len(got); i++ {
			if seqOf(got[i]) <= seqOf(got[i-1]) {
				t.Fatalf("packet %d has sequence number %d after %d", i, seqOf(got[i]), seqOf(got[i-1]))
			}
		}
		if s := e.Stats(); s.DroppedQueueFull == 0 {
			return
		}
	}
	t.Error("packets were dropped while the worker got on")
}

// A worker that delivers nothing makes nobody wait for long: the newest packets
// are dropped and counted.
func TestFullQueueDrops(t *testing.T) {
	for name, cfg := range map[string]*endpoint.Config{
		"packets": {Workers: 1, QueuePackets: 4},
		"bytes":   {Workers: 1, QueueBytes: 4 * 140},
	} {
		t.Run(name, func(t *testing.T) {
			d, b := &nic{}, newBarrier()
			d.hook = b.wait
			e := overChannel(t, cfg, d)
			inject(e, 1, 0, 1)
			leak.Done(t, "the worker's delivery", b.inside)
			leak.Within(t, "delivering", func() { inject(e, 1, 1, 8) })
			if s := e.Stats(); s.DroppedQueueFull != 3 || s.Received != 4 {
				t.Errorf("counted %+v, want one under way and 3 of 7 dropped", s)
			}
			close(b.open)
			awaitDelivered(t, e, &d.dispatcher, 8)
			if got := d.take(); len(got) != 2 || len(got[1]) != 440 {
				t.Errorf("%d packets, want the first and four merged", len(got))
			}
		})
	}
}

// Attach(nil) wakes those who wait for room: they find the stack gone, and not
// only the queue still full. (Should the machine stand still for 10 ms before, one
// is dropped with every right: so it is tried several times.)
func TestDetachWakesDeliverers(t *testing.T) {
	leak.Check(t)
	for range 10 {
		var d dispatcher
		d.hook = func() { time.Sleep(time.Millisecond) } // progress: they go on waiting
		e := endpoint.New(channel.New(1, 1500, ""), &endpoint.Config{Workers: 1, QueuePackets: 2})
		defer e.Close()
		e.Attach(&d)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { inject(e, uint16(i+1), 0, 1000) })
		}
		leak.Until(t, "a deliverer that waits", func() bool { return len(leak.Goroutines("gate.(*Gate).Wait")) > 0 })
		leak.Within(t, "Attach(nil)", func() { e.Attach(nil) })
		leak.Within(t, "the deliverers", wg.Wait)
		s := e.Stats()
		if s.DroppedDetached == 0 || d.len() > 3990 {
			t.Errorf("counted %+v", s)
		}
		if s.DroppedQueueFull == 0 {
			return
		}
	}
	t.Error("deliverers were not woken, but gave up")
}

// A flow keeps its order, and its bytes, though there are many workers and many
// flows, and packets of all sizes.
func TestFlowsKeepOrder(t *testing.T) {
	var d nic
	e := overChannel(t, &endpoint.Config{Workers: 4, QueuePackets: 1 << 20, QueueBytes: 1 << 30}, &d)
	const flows, each = 8, 800
	var wg sync.WaitGroup
	for f := range flows {
		wg.Go(func() {
			seq := uint32(0)
			for i := range each {
				size := 90 + 700*(i/20%2) + i/40 // the same for some in a row
				ip := packettest.TCP{SrcPort: uint16(f + 1), Seq: seq, IP: packettest.IP{ID: uint16(i)}, Payload: packettest.Stream(seq, size)}
				deliver(e, ip.Bytes())
				seq += uint32(size)
			}
		})
	}
	wg.Wait()
	awaitDelivered(t, e, &d.dispatcher, flows*each)
	next := map[uint16]uint32{}
	for _, ip := range d.take() {
		f, seq := flowOf(ip), seqOf(ip)
		if seq != next[f] {
			t.Fatalf("flow %d: sequence number %d, want %d", f, seq, next[f])
		}
		if !bytes.Equal(ip[40:], packettest.Stream(seq, len(ip)-40)) {
			t.Fatalf("flow %d: wrong bytes from %d on", f, seq)
		}
		next[f] += uint32(len(ip) - 40)
	}
	if len(next) != flows || next[1] != next[flows] || e.Stats().Merged == 0 {
		t.Errorf("%d flows, bytes of each %v; counted %+v", len(next), next, e.Stats())
	}
}

// gVisor's pipe delivers from within WritePackets: each worker ends up, through
// the stack, at the queue of the other, and that one at its. With tiny queues
// they meet full ones all the time.
func TestWorkersMeetTheirOwnQueues(t *testing.T) {
	for _, queue := range []int{1, 8, 0} {
		t.Run(fmt.Sprint(queue), func(t *testing.T) { crossedPipe(t, queue) })
	}
}

func crossedPipe(t *testing.T, queue int) {
	leak.Check(t)
	a, b := pipe.New("", "", 1500)
	cfg := &endpoint.Config{Workers: 1, QueuePackets: queue}
	from := newHost(t, endpoint.New(a, cfg), nil, "10.0.0.1")
	to := newHost(t, endpoint.New(b, cfg), nil, "10.0.0.2")
	leak.Within(t, "transfers both ways", func() {
		var wg sync.WaitGroup
		for _, way := range [][2]*transfer.Host{{from, to}, {to, from}} {
			wg.Go(func() {
				_, err := transfer.Between(t.Context(), way[0], way[1], &transfer.Config{Flows: 2, Bytes: 1 << 20, Stall: leak.Limit})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}
