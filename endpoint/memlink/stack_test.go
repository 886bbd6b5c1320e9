// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func newHost(t *testing.T, link stack.LinkEndpoint, qdisc stack.QueueingDiscipline, addrs ...string) *transfer.Host {
	t.Helper()
	cfg := &transfer.HostConfig{QDisc: qdisc}
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

// A bare link works with TCP: super-packets are split by Read, packets arrive one
// by one.
func TestBareTransfer(t *testing.T) {
	for _, addrs := range [][2]string{{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}} {
		t.Run(addrs[0], func(t *testing.T) {
			leak.Check(t)
			a, b := memlink.New(nil), memlink.New(nil)
			stop := transfer.JoinBatches(a, b)
			defer stop()
			from, to := newHost(t, a, nil, addrs[0]), newHost(t, b, nil, addrs[1])
			r, err := transfer.Between(t.Context(), from, to, &transfer.Config{Flows: 2, Bytes: 4 << 20, Stall: leak.Limit})
			if err != nil || r.Bytes != 8<<20 {
				t.Fatalf("%d bytes, %v", r.Bytes, err)
			}
			if sent, got := from.Sent(), to.Received(); sent.MeanBytes() < 3000 || got.MeanBytes() > 1500 {
				t.Errorf("sent in packets of %.0f bytes, received in %.0f: want super-packets, split", sent.MeanBytes(), got.MeanBytes())
			}
		})
	}
}

// One goroutine does both, Read and Write, while everything written makes the
// stack answer at once: it must never wait for itself.
func TestOneGoroutineFlood(t *testing.T) {
	for _, merge := range []bool{false, true} {
		t.Run(fmt.Sprint("endpoint=", merge), func(t *testing.T) {
			leak.Check(t)
			l := memlink.New(&memlink.Config{QueuePackets: 8})
			var link stack.LinkEndpoint = l
			if merge {
				link = endpoint.New(l, nil)
			}
			newHost(t, link, nil, "10.0.0.2", "fd00::2")
			const floods = 20
			flood := answered()
			var written, replies int
			leak.Within(t, "Read and Write by one goroutine", func() {
				bufs, sizes := make([][]byte, 128), make([]int, 128)
				for i := range bufs {
					bufs[i] = make([]byte, 1500)
				}
				for range floods {
					n, err := l.Write(flood, 0)
					written += n
					if err != nil {
						t.Error(err)
						return
					}
					n, err = l.Read(bufs, sizes, 0)
					replies += n
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
			if replies < floods*8 {
				t.Errorf("%d replies to %d packets", replies, written)
			}
			if l.Stats().DroppedFull == 0 {
				t.Error("the queue was never full: the flood proves nothing")
			}
		})
	}
}

// answered are packets that the stack answers while it takes them: echo requests,
// segments for no connection, datagrams for no socket.
func answered() (bufs [][]byte) {
	for i := range 150 {
		for _, v6 := range []bool{false, true} {
			ip := packettest.IP{V6: v6}
			bufs = append(bufs,
				packettest.ICMP{IP: ip, ID: 1, Seq: uint16(i), Payload: make([]byte, 1000)}.Bytes(),
				packettest.TCP{IP: ip, SrcPort: uint16(i + 1), Payload: []byte("x")}.Bytes(),
				packettest.UDP{IP: ip, SrcPort: uint16(i + 1), Payload: []byte("x")}.Bytes())
		}
	}
	return bufs
}

// RemoveNIC comes back although senders wait for room that nobody makes, also
// where a queueing discipline has to be waited for under the stack's lock.
func TestRemoveNICWithoutReader(t *testing.T) {
	for _, qdisc := range []bool{false, true} {
		t.Run(fmt.Sprint("fifo=", qdisc), func(t *testing.T) {
			leak.Check(t)
			a, b := memlink.New(&memlink.Config{QueuePackets: 4}), memlink.New(nil)
			var halt atomic.Bool
			go pump(a, b, &halt)
			go pump(b, a, nil)
			defer a.Close()
			defer b.Close()
			ea := endpoint.New(a, nil)
			var q stack.QueueingDiscipline
			if qdisc {
				q = fifo.New(ea, 1, 1000)
			}
			from, to := newHost(t, ea, q, "10.0.0.1"), newHost(t, endpoint.New(b, nil), nil, "10.0.0.2")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := transfer.Between(ctx, from, to, &transfer.Config{Flows: 4, Duration: time.Hour, Stall: time.Hour})
				done <- err
			}()
			leak.Until(t, "data", func() bool { return to.Received().Bytes > 1<<20 })
			halt.Store(true)
			leak.Until(t, "a full queue", func() bool {
				return a.Stats().DroppedFull > 0 || len(leak.Goroutines("gate.(*Gate).Wait")) > 0
			})
			leak.Within(t, "RemoveNIC", func() {
				if err := from.Stack().RemoveNIC(transfer.NICID); err != nil {
					t.Error(err)
				}
			})
			cancel()
			if err := leak.Done(t, "the transfer", done); err == nil {
				t.Error("the transfer went on without a NIC")
			}
		})
	}
}

// pump moves packets from one link to another until one is closed. While halt
// is set it does not read.
func pump(from, to *memlink.Link, halt *atomic.Bool) {
	bufs, full, sizes := make([][]byte, 128), make([][]byte, 128), make([]int, 128)
	for i := range full {
		full[i] = make([]byte, 1500)
	}
	for {
		if halt != nil && halt.Load() {
			return
		}
		n, err := from.Read(full, sizes, 0)
		if err != nil {
			return
		}
		for i := range n {
			bufs[i] = full[i][:sizes[i]]
		}
		if _, err := to.Write(bufs[:n], 0); err != nil {
			return
		}
	}
}
