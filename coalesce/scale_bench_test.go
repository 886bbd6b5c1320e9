// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/coalesce"
)

// BenchmarkFlows is BenchmarkCoalesce from 1 to 4,096 flows. The batch is always
// the same, 8,192 packets and therefore out of the caches, so that the number of
// flows alone makes the difference.
func BenchmarkFlows(b *testing.B) {
	for _, kind := range []traffic.Kind{traffic.TCP4, traffic.TCP6} {
		for flows := 1; flows <= 4096; flows *= 4 {
			benchCoalesce(b, &traffic.Batch{Kind: kind, Pattern: traffic.RoundRobin, Flows: flows, Packets: 8192})
		}
	}
}

// BenchmarkSize is BenchmarkCoalesce for IP packets of 64 to 9000 bytes, one flow.
func BenchmarkSize(b *testing.B) {
	for _, kind := range traffic.Kinds {
		for _, size := range []int{64, 128, 256, 512, 1024, 1500, 4096, 9000} {
			tr := &traffic.Batch{Kind: kind, Pattern: traffic.Bulk, Flows: 1, Packets: benchBatch, Size: size}
			for _, sum := range sums {
				b.Run(fmt.Sprintf("%v/size=%d/sum=%s", kind, size, sum.name), func(b *testing.B) {
					coalesceBatch(b, tr, sum.vouched)
				})
			}
		}
	}
}

// BenchmarkMemory is what a Table holds on the heap: "B/flow" for each flow of two
// packets while they are in it, "B/new" when it is made, and "B/rest" when it is
// empty again and kept for the next batch. The packets themselves are the
// caller's. An operation makes, fills and empties one Table; its time means
// nothing.
func BenchmarkMemory(b *testing.B) {
	for _, flows := range []int{1, 64, 2048} {
		tr := &traffic.Batch{Kind: traffic.TCP4, Pattern: traffic.RoundRobin, Flows: flows, Packets: 2 * flows}
		b.Run(fmt.Sprintf("tcp4/flows=%d", flows), func(b *testing.B) {
			packets := packetsOf(tr, true)
			var made, held, rest int64
			b.ReportAllocs()
			for b.Loop() {
				before := heapInUse()
				table := coalesce.New(nil)
				empty := heapInUse()
				for i := range packets {
					table.Add(&packets[i])
				}
				made, held = made+empty-before, held+heapInUse()-empty
				if left := addAndPop(table, nil); left != flows {
					b.Fatalf("%d packets left, want %d", left, flows)
				}
				rest += heapInUse() - before
				runtime.KeepAlive(table)
			}
			n := float64(b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(made)/n, "B/new")
			b.ReportMetric(float64(held)/n/float64(flows), "B/flow")
			b.ReportMetric(float64(rest)/n, "B/rest")
		})
	}
}

// heapInUse is the size of all that is reachable.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
