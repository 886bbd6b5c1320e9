// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package traffic_test

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/coalesce"
)

// merge returns how many packets package coalesce makes of a batch.
func merge(b *traffic.Batch) (left int) {
	table := coalesce.New(&coalesce.Config{UDP: b.Kind.UDP})
	for i, frame := range b.Frames() {
		table.Add(&coalesce.Packet{Head: frame, Protocol: b.Kind.Protocol(), ID: i})
	}
	for table.Pop() != nil {
		left++
	}
	return left
}

// TestBatches: packets have the size asked for, and every pattern leaves package
// coalesce as the batch says.
func TestBatches(t *testing.T) {
	for _, kind := range traffic.Kinds {
		for _, shape := range traffic.Shapes {
			for _, size := range []int{0, 64, 9000} {
				b := &traffic.Batch{Kind: kind, Pattern: shape.Pattern, Flows: shape.Flows, Packets: 128, Size: size}
				want := size
				if want == 0 {
					want = traffic.DefaultSize
				}
				for i, frame := range b.Frames() {
					if len(frame) != want {
						t.Fatalf("%v: packet %d has %d bytes, want %d", b, i, len(frame), want)
					}
				}
				if got := merge(b); got != b.Leave() {
					t.Errorf("%v, size %d: %d packets leave, want %d", b, size, got, b.Leave())
				}
			}
		}
	}
}

// TestLeave holds Leave against what can be counted by hand.
func TestLeave(t *testing.T) {
	for _, tt := range []struct {
		kind  traffic.Kind
		shape traffic.Shape
		want  int
	}{
		{traffic.TCP4, traffic.Shape{Pattern: traffic.Bulk, Flows: 1}, 2},        // 45 in 65,535 bytes
		{traffic.TCP4, traffic.Shape{Pattern: traffic.RoundRobin, Flows: 8}, 8},  // all of a flow
		{traffic.TCP4, traffic.Shape{Pattern: traffic.Mice}, 64},                 // none
		{traffic.TCP4, traffic.Shape{Pattern: traffic.Reordered, Flows: 8}, 32},  // 012 4 3 567
		{traffic.UDP6, traffic.Shape{Pattern: traffic.Reordered, Flows: 8}, 8},   // nobody knows
		{traffic.TCP4, traffic.Shape{Pattern: traffic.Lossy, Flows: 4}, 4 + 4},   // one hole in 16
		{traffic.TCP4, traffic.Shape{Pattern: traffic.Runs8, Flows: 4}, 4},       // order is kept
		{traffic.TCP4, traffic.Shape{Pattern: traffic.Bulk, Flows: 32}, 32},      // two of each
		{traffic.UDP4, traffic.Shape{Pattern: traffic.Reordered, Flows: 64}, 64}, // one of each
	} {
		b := &traffic.Batch{Kind: tt.kind, Pattern: tt.shape.Pattern, Flows: tt.shape.Flows, Packets: 64}
		if got := b.Leave(); got != tt.want {
			t.Errorf("%v: %d packets leave, want %d", b, got, tt.want)
		}
	}
}
