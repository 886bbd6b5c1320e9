// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// batch is packets ready to be added again and again.
type batch struct {
	table   *coalesce.Table
	packets []coalesce.Packet
	header  [256]byte
	payload [65536]byte
}

func newBatch(in []packettest.Arrival) *batch {
	b := &batch{table: coalesce.New(udp)}
	for i, a := range in {
		b.packets = append(b.packets, *packet(a, i))
	}
	return b
}

// run takes the batch through the Table and returns how many packets left.
func (b *batch) run() (left int) {
	for i := range b.packets {
		b.table.Add(&b.packets[i])
	}
	for r := b.table.Pop(); r != nil; r = b.table.Pop() {
		if left++; r.Count > 1 {
			r.PutHeader(b.header[:r.HeaderLen])
			r.CopyPayload(b.payload[:r.PayloadLen])
		}
	}
	return left
}

// datagramFlows is flows of UDP.
func datagramFlows(w world, n, m int) []packettest.Arrival {
	base := w.datagrams(n/m, 1000)
	var out []packettest.Arrival
	for i := range n {
		p := base[i/m]
		p.SrcPort = uint16(1024 + i%m)
		out = append(out, packettest.Arrival{Frame: p.Frame()})
	}
	return out
}

// flows returns n packets of m flows in turn.
func flows(w world, n, m int) []packettest.Arrival {
	base := w.segments(n/m, 1000)
	var out []packettest.Arrival
	for i := range n {
		p := base[i/m]
		p.SrcPort = uint16(1024 + i%m)
		out = append(out, packettest.Arrival{Frame: p.Frame()})
	}
	return out
}

// TestAllocs: in steady state a batch allocates nothing, whatever is in it.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	v4, v6, vlan := worlds[0], worlds[1], worlds[5]
	change := func(in []packettest.Arrival, f func(i int, a *packettest.Arrival)) []packettest.Arrival {
		for i := range in {
			f(i, &in[i])
		}
		return in
	}
	acks := v4.segments(64, 0)
	fragments := v6.segments(64, 100)
	for i := range fragments {
		if i%2 == 0 {
			fragments[i] = fragmentOf(fragments[i], 0, true)
		}
	}
	for _, tt := range []struct {
		name string
		in   []packettest.Arrival
		left int
	}{
		{"one flow", flows(v4, 64, 1), 1},
		{"one flow, IPv6 and VLAN", flows(vlan, 64, 1), 1},
		{"many flows", flows(v4, 1024, 128), 128},
		{"many flows, IPv6", flows(v6, 1024, 128), 128},
		{"pieces", change(flows(v4, 60, 1), func(_ int, a *packettest.Arrival) { a.HeadLen, a.TailLen = 52, 100 }), 1},
		{"vouched", change(flows(v4, 64, 1), func(_ int, a *packettest.Arrival) { a.Vouched = true }), 1},
		{"passing: pure ACKs", arrivals(acks...), 64},
		{"passing: malformed", change(flows(v4, 64, 1), func(_ int, a *packettest.Arrival) { a.Data = a.Data[:30] }), 64},
		{"passing: excluded", change(flows(v4, 64, 1), func(_ int, a *packettest.Arrival) { a.Exclude = true }), 64},
		{"bad checksums", change(flows(v4, 64, 1), func(i int, a *packettest.Arrival) { a.Data[len(a.Data)-1] ^= byte(i % 2) }), 64},
		{"fragments", arrivals(fragments...), 64},
		{"UDP", datagramFlows(v4, 60, 1), 1},
		{"UDP, IPv6 and VLAN", datagramFlows(vlan, 60, 1), 1},
		{"UDP, full runs", arrivals(v6.datagrams(128, 10)...), 2},
		{"UDP, many flows", datagramFlows(v6, 1024, 128), 128},
		{"UDP, pieces", change(datagramFlows(v4, 60, 1), func(_ int, a *packettest.Arrival) { a.HeadLen, a.TailLen = 28, 100 }), 1},
		{"UDP, no checksum", change(datagramFlows(v4, 60, 1), func(_ int, a *packettest.Arrival) { a.Data[26], a.Data[27] = 0, 0 }), 60},
		{"UDP, malformed", change(datagramFlows(v4, 60, 1), func(_ int, a *packettest.Arrival) { a.Data = a.Data[:25] }), 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBatch(tt.in)
			if left := b.run(); left != tt.left {
				t.Fatalf("%d packets left, want %d", left, tt.left)
			}
			if n := testing.AllocsPerRun(20, func() { b.run() }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	t.Run("Hash", func(t *testing.T) {
		h, p := coalesce.NewHasher(), packet(flows(v6, 1, 1)[0], 0)
		if n := testing.AllocsPerRun(20, func() { h.Hash(p) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
