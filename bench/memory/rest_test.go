// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"fmt"
	"runtime"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

// nic takes everything for its own and drops it.
type nic struct{ packets int }

func (n *nic) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) { n.packets++ }
func (*nic) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer)      {}
func (*nic) Promiscuous() bool                                                       { return true }
func (*nic) Spoofing() bool                                                          { return false }
func (*nic) CheckLocalAddress(tcpip.NetworkProtocolNumber, tcpip.Address) bool       { return true }

// BenchmarkMemory is what an endpoint over memlink holds, heap and goroutine stacks:
// when it is made ("B/new"), after a batch of so many flows ("B/warm"), and when it
// has been idle for two collections of garbage ("B/rest"). Time means nothing here.
func BenchmarkMemory(b *testing.B) {
	for _, flows := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("link=endpoint-memlink/flows=%d", flows), func(b *testing.B) {
			tr := &traffic.Batch{Kind: traffic.TCP4, Pattern: traffic.RoundRobin, Flows: flows, Packets: 2 * flows}
			batch := tr.Frames()
			var made, warm, rest int64
			b.ReportAllocs()
			for b.Loop() {
				memoryInUse() // of the last operation nothing is left in a pool
				before := memoryInUse()
				n := &nic{}
				link := memlink.New(nil)
				e := endpoint.New(link, nil)
				e.Attach(n)
				made += memoryInUse() - before
				if _, err := link.Write(batch, 0); err != nil || n.packets < flows {
					b.Fatalf("%d packets arrived, want %d (%v)", n.packets, flows, err)
				}
				warm += memoryInUse() - before
				rest += memoryInUse() - before
				e.Attach(nil)
				e.Close()
				e.Wait()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(made)/float64(b.N), "B/new")
			b.ReportMetric(float64(warm)/float64(b.N), "B/warm")
			b.ReportMetric(float64(rest)/float64(b.N), "B/rest")
		})
	}
}

// memoryInUse is the size of all that is reachable, and of all goroutines' stacks.
// What is in a pool is, until it has not been used between two calls.
func memoryInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
