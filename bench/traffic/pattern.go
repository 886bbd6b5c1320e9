// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package traffic

// Pattern is how the packets of a batch's flows arrive.
type Pattern string

// The patterns. Where several flows are in sequence, each has as many packets as
// every other.
const (
	// Bulk: all packets of one flow, then all of the next.
	Bulk Pattern = "bulk"
	// RoundRobin: a packet of each flow in turn.
	RoundRobin Pattern = "roundrobin"
	// Runs8: eight packets of each flow in turn, as a sender's burst arrives.
	Runs8 Pattern = "runs8"
	// Mice: every packet is the only one of its flow.
	Mice Pattern = "mice"
	// Reordered is RoundRobin where of every eight packets of a flow the fifth
	// comes before the fourth.
	Reordered Pattern = "reordered"
	// Lossy is RoundRobin where of every 16 packets of a flow one is missing.
	Lossy Pattern = "lossy"
)

// Shape is a pattern and a number of flows.
type Shape struct {
	Pattern Pattern
	Flows   int
}

// Shapes are those that benchmarks go through, for batches of 64 packets and
// their multiples.
var Shapes = []Shape{
	{Bulk, 1}, {Bulk, 32}, {RoundRobin, 8}, {Runs8, 4}, {Mice, 0}, {Reordered, 1}, {Lossy, 1},
}

// place says which packet comes as number i: of which flow, and where in it.
func (b *Batch) place(i int) (flow, n int) {
	flows := b.flows()
	switch b.Pattern {
	case Bulk:
		each := b.Packets / flows
		return i / each, i % each
	case Runs8:
		turn := i / 8
		return turn % flows, turn/flows*8 + i%8
	}
	flow, n = i%flows, i/flows
	switch {
	case b.Pattern == Reordered && n%8 == 3:
		n++
	case b.Pattern == Reordered && n%8 == 4:
		n--
	case b.Pattern == Lossy:
		n += (n + 8) / 15
	}
	return flow, n
}

const (
	maxIPPacket  = 65535
	maxDatagrams = 64
)

// Leave is how many packets a coalescer makes of the batch that merges whatever
// Linux would, counted the slow and obvious way.
func (b *Batch) Leave() int {
	type run struct{ next, packets int }
	open := make([]run, b.flows())
	leave := 0
	for i := range b.Packets {
		flow, n := b.place(i)
		r := &open[flow]
		full := b.size()+r.packets*b.Payload() > maxIPPacket || b.Kind.UDP && r.packets == maxDatagrams
		// Nothing in a UDP packet over IPv6 tells its place.
		inOrder := n == r.next || b.Kind == UDP6
		if r.packets == 0 || full || !inOrder {
			leave++
			r.packets = 0
		}
		r.packets++
		r.next = n + 1
	}
	return leave
}
