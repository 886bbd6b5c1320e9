// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"syscall"
	"testing"
	"time"
)

// measured are the links that a router is measured over, those that may be compared
// side by side.
var measured = []struct {
	name string
	wire
}{
	{"link=veth/impl=rawlink", wire{bare: true}},
	{"link=veth/impl=ours-rawlink", wire{}},
	{"link=veth/impl=fdbased", wire{fdbased: true, bare: true}},
	{"link=veth/impl=ours-fdbased", wire{fdbased: true}},
	{"link=veth/impl=gvisor-gro/sum=verified", wire{fdbased: true, bare: true, gro: true}},
	{"link=veth/impl=gvisor-gro/sum=trusted", wire{fdbased: true, bare: true, gro: true, trust: true}},
	{"link=veth-vnet/impl=fdbased", wire{fdbased: true, bare: true, vnet: true, tso: true, trust: true}},
	{"link=veth-vnet/impl=ours-rawlink", wire{vnet: true, tso: true}},
	{"link=tun-vnet/impl=gvisor-gro/sum=trusted", wire{tun: true, vnet: true, fdbased: true, bare: true, gro: true, tso: true, trust: true}},
	{"link=tun-vnet/impl=ours-rawlink", wire{tun: true, vnet: true, tso: true}},
}

// BenchmarkRouter is iperf3, one flow for a second, between two kernels through a
// router, with an Endpoint and without; an operation is one run. CPU is this process's,
// which is the router's, per GB (10^9 bytes); it has none where a transfer stalls. To
// compare, let the links take turns: run it some times with -benchtime=1x.
func BenchmarkRouter(b *testing.B) {
	for _, family := range []string{"tcp4", "tcp6"} {
		for _, m := range measured {
			b.Run(family+"/"+m.name, func(b *testing.B) {
				l := route(b, m.wire, 1500)
				var rate float64 // Gbit/s, of all runs
				before := processTime()
				for range b.N {
					mbps, _ := l.iperf(b, family == "tcp6", false, "-t", "1")
					rate += mbps / 1e3
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(rate/float64(b.N), "Gbit/s")
				if rate > 0 {
					b.ReportMetric((processTime()-before).Seconds()/(rate/8), "CPU-s/GB")
				}
			})
		}
	}
}

// processTime is the CPU time that this process has taken.
func processTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
