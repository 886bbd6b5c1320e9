// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// contrasts are the links that TestContrast measures a router over.
var contrasts = []wire{
	{name: "AF_PACKET, rawlink", bare: true},
	{name: "AF_PACKET, endpoint over rawlink"},
	{name: "AF_PACKET, fdbased", fdbased: true, bare: true},
	{name: "AF_PACKET, endpoint over fdbased", fdbased: true},
	{name: "AF_PACKET, fdbased, gVisor GRO", fdbased: true, bare: true, gro: true},
	{name: "AF_PACKET, fdbased, gVisor GRO, trusted", fdbased: true, bare: true, gro: true, trust: true},
	{name: "AF_PACKET vnet, TSO on, fdbased, trusted", fdbased: true, bare: true, vnet: true, tso: true, trust: true},
	{name: "AF_PACKET vnet, TSO on, endpoint over rawlink", vnet: true, tso: true},
	{name: "TUN vnet, TSO on, endpoint over rawlink", tun: true, vnet: true, tso: true},
	{name: "TUN vnet, TSO on, fdbased, gVisor GRO, trusted", tun: true, vnet: true, fdbased: true, bare: true, gro: true, tso: true, trust: true},
}

// TestContrast measures a router with Endpoints and without, the links taking
// turns. It is no test: it runs only with -contrast, and prints medians.
func TestContrast(t *testing.T) {
	if *contrast == 0 {
		t.Skip("measures, and only with -contrast")
	}
	type sample struct{ rate, cpu float64 }
	samples := map[string][]sample{}
	for range *contrast {
		for _, w := range contrasts {
			t.Run(w.name, func(t *testing.T) {
				l := newRouted(t, w, 1500)
				before := processTime()
				rate, _ := l.iperf(t, *contrastV6, false, "-t", "1")
				cpu := processTime() - before
				samples[w.name] = append(samples[w.name], sample{rate, cpu.Seconds() / max(rate*1e6/8/1e9, 1e-9)})
			})
		}
	}
	for _, w := range contrasts {
		var rates, cpus []float64
		for _, s := range samples[w.name] {
			rates, cpus = append(rates, s.rate), append(cpus, s.cpu)
		}
		slices.Sort(rates)
		slices.Sort(cpus)
		if n := len(rates); n > 0 {
			fmt.Printf("%-48s %8.1f Mbit/s (%.1f-%.1f) %8.2f CPU s/GB\n", w.name, rates[n/2], rates[0], rates[n-1], cpus[n/2])
		}
	}
}

// processTime is the CPU time that this process, and so the router, has taken.
func processTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
