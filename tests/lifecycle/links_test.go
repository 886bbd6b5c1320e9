// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// wire is a way to join two stacks.
type wire struct {
	// join makes two links that are joined, and what parts them again after the
	// stacks are gone.
	join func(t *testing.T) (a, b stack.LinkEndpoint, part func())
	// narrow says that it loses packets when much is under way: then netstack
	// can take a minute for what takes a moment, with an Endpoint and without.
	narrow bool
}

// load is how many flows with what buffers the wire can carry.
func (w wire) load() (flows, buffer int) {
	if w.narrow {
		return 1, 16 << 10
	}
	return 3, 0
}

var wires = map[string]wire{
	"memlink bare": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := memlink.New(nil), memlink.New(nil)
		return a, b, transfer.JoinBatches(a, b)
	}},
	"memlink": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := memlink.New(nil), memlink.New(nil)
		return endpoint.New(a, nil), endpoint.New(b, nil), transfer.JoinBatches(a, b)
	}},
	"memlink small": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		cfg := &memlink.Config{QueuePackets: 2}
		a, b := memlink.New(cfg), memlink.New(cfg)
		return endpoint.New(a, nil), endpoint.New(b, nil), transfer.JoinBatches(a, b)
	}},
	"channel": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := channel.New(512, 1500, ""), channel.New(512, 1500, "")
		return endpoint.New(a, nil), endpoint.New(b, nil), transfer.JoinChannels(a, b)
	}},
	"channel small": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := channel.New(512, 1500, ""), channel.New(512, 1500, "")
		cfg := &endpoint.Config{Workers: 2, QueuePackets: 4}
		return endpoint.New(a, cfg), endpoint.New(b, cfg), transfer.JoinChannels(a, b)
	}},
	"pipe": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := pipe.New("", "", 1500)
		return endpoint.New(a, nil), endpoint.New(b, nil), func() {}
	}},
	"pipe small": {join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := pipe.New("", "", 1500)
		cfg := &endpoint.Config{Workers: 1, QueuePackets: 4}
		return endpoint.New(a, cfg), endpoint.New(b, cfg), func() {}
	}},
}

// Data goes whole over every kind of link, both ways.
func TestTransferOverEveryLink(t *testing.T) {
	for name, wire := range wires {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			a, b, part := wire.join(t)
			defer part()
			flows, buffer := wire.load()
			from, to := newHostWith(t, a, nil, "10.0.0.1", buffer), newHostWith(t, b, nil, "10.0.0.2", buffer)
			leak.Within(t, "transfers", func() {
				for _, way := range [][2]*transfer.Host{{from, to}, {to, from}} {
					r, err := transfer.Between(t.Context(), way[0], way[1], &transfer.Config{Flows: flows, Bytes: 512 << 10, Stall: leak.Limit})
					if err != nil {
						t.Errorf("%d bytes, %v", r.Bytes, err)
					}
				}
			})
		})
	}
}

// Either end may go at any moment under full traffic in both directions.
func TestRemoveUnderTraffic(t *testing.T) {
	ways := map[string]func(h *transfer.Host){
		"RemoveNIC": func(h *transfer.Host) { h.Stack().RemoveNIC(transfer.NICID) },
		"Destroy":   func(h *transfer.Host) { h.Stack().Destroy() },
	}
	for name, wire := range wires {
		for how, remove := range ways {
			for _, qdisc := range []bool{false, true} {
				full := name + "/" + how
				if qdisc {
					full += "/fifo"
				}
				t.Run(full, func(t *testing.T) {
					leak.Check(t)
					a, b, part := wire.join(t)
					defer part()
					removeUnderTraffic(t, a, b, qdisc, remove)
				})
			}
		}
	}
}

func removeUnderTraffic(t *testing.T, a, b stack.LinkEndpoint, qdisc bool, remove func(*transfer.Host)) {
	t.Helper()
	var qa, qb stack.QueueingDiscipline
	if qdisc {
		qa, qb = fifo.New(a, 2, 200), fifo.New(b, 2, 200)
	}
	from, to := newHost(t, a, qa, "10.0.0.1"), newHost(t, b, qb, "10.0.0.2")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 2)
	for _, way := range [][2]*transfer.Host{{from, to}, {to, from}} {
		go func() {
			_, err := transfer.Between(ctx, way[0], way[1], &transfer.Config{Flows: 2, Duration: time.Hour, Stall: time.Hour})
			done <- err
		}()
	}
	leak.Until(t, "data both ways", func() bool { return to.Received().Bytes > 256<<10 && from.Received().Bytes > 256<<10 })
	leak.Within(t, "removing", func() { remove(to) })
	cancel()
	for range 2 {
		leak.Done(t, "a transfer", done)
	}
	leak.Within(t, "removing the other end", func() { remove(from) })
}
