// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// measured are the links that a router is measured over, those that may be compared
// side by side.
var measured = []wire{
	{name: "link=veth/impl=rawlink", bare: true},
	{name: "link=veth/impl=ours-rawlink"},
	{name: "link=veth/impl=fdbased", fdbased: true, bare: true},
	{name: "link=veth/impl=ours-fdbased", fdbased: true},
	{name: "link=veth/impl=gvisor-gro/sum=verified", fdbased: true, bare: true, gro: true},
	{name: "link=veth/impl=gvisor-gro/sum=trusted", fdbased: true, bare: true, gro: true, trust: true},
	{name: "link=veth-vnet/impl=fdbased", fdbased: true, bare: true, vnet: true, tso: true, trust: true},
	{name: "link=veth-vnet/impl=ours-rawlink", vnet: true, tso: true},
	{name: "link=tun-vnet/impl=gvisor-gro/sum=trusted", tun: true, vnet: true, fdbased: true, bare: true, gro: true, tso: true, trust: true},
	{name: "link=tun-vnet/impl=ours-rawlink", tun: true, vnet: true, tso: true},
}

// BenchmarkRouter is iperf3, one flow for a second, between two kernels through a
// router, with an Endpoint and without; an operation is one run. CPU is this process's,
// which is the router's, per GB (10^9 bytes); it has none where a transfer stalls. To
// compare, let the links take turns: run it some times with -benchtime=1x.
func BenchmarkRouter(b *testing.B) {
	for _, family := range []string{"tcp4", "tcp6"} {
		for _, m := range measured {
			b.Run(family+"/"+m.name, func(b *testing.B) {
				l := route(b, m, 1500)
				var rate float64 // Gbit/s, of all runs
				before, _ := transfer.CPUTime()
				for range b.N {
					mbps, _ := l.iperf(b, family == "tcp6", false, "-t", "1")
					rate += mbps / 1e3
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(rate/float64(b.N), "Gbit/s")
				if after, ok := transfer.CPUTime(); ok && rate > 0 {
					b.ReportMetric((after-before).Seconds()/(rate/8), "CPU-s/GB")
				}
			})
		}
	}
}
