// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// made is a mode with figures of one flow: Gbit/s and CPU s/GB.
type made struct {
	mode, side, checksums string
	gbps, cpu             float64
}

// fixture is a report as a run gives it, with figures that follow from the mode.
func fixture(t testing.TB) *data {
	t.Helper()
	d := &data{Report: result.Report{
		Machine:  result.Machine{CPU: "A CPU & more", Cores: 2, Memory: 8 << 30, OS: "Linux 6.18", Go: "go1.26", GVisor: "v0.0.0"},
		Started:  time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
		Took:     10 * time.Minute,
		Command:  "go run . -o DIR",
		Rounds:   5,
		Duration: time.Second,
		Notes:    []string{"A note, with <angles>."},
	}}
	for _, flows := range []int{1, 8, 64} {
		d.addStreams("veth", result.Receive, flows, vethReceive)
		d.addStreams("veth", result.Send, flows, vethSend)
		d.addStreams("veth vnet", result.Send, flows, vnetSend)
		d.addStreams("tun", result.Receive, flows, tunReceive)
		d.addStreams("tun", result.Send, flows, tunSend)
	}
	d.addLatencies("tun", tunReceive)
	for round := range 5 {
		if err := d.addBenchmarks(strings.NewReader(goTestOutput(round))); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

var (
	vethReceive = []made{
		{"fdbased", result.Peer, "verified", 1.76, 6.95},
		{"fdbased, gVisor GRO", result.Peer, "trusted", 2.70, 4.58},
		{"fdbased, gVisor GRO, large buffers", result.Peer, "trusted", 3.1, 4.1},
		{"netstack-offload, fdbased", result.Ours, "verified", 4.3, 2.93},
		{"netstack-offload, rawlink", result.Ours, "verified", 7.4, 1.5},
		{"netstack-offload, rawlink", result.Ours, "trusted", 8.1, 1.3},
		{"kernel", result.Kernel, "", 15.7, -1},
	}
	vethSend = []made{
		{"fdbased, gVisor GSO, fifo", result.Peer, "verified", 2.12, 4.5},
		{"netstack-offload, rawlink, fifo", result.Ours, "verified", 3.37, 2.5},
		{"kernel", result.Kernel, "", 9.2, -1},
	}
	vnetSend = []made{
		{"fdbased, host GSO, fifo", result.Peer, "trusted", 16, 0.53},
		{"netstack-offload, rawlink, vnet header, fifo", result.Ours, "verified", 17.1, 0.5},
		{"kernel, all offloads", result.Kernel, "", 47.6, -1},
	}
	tunReceive = []made{
		{"fdbased", result.Peer, "verified", 2.11, 6.07},
		{"fdbased, gVisor GRO, large buffers", result.Peer, "trusted", 2.95, 4.46},
		{"netstack-offload, rawlink", result.Ours, "verified", 10.6, 1.23},
		{"netstack-offload, rawlink", result.Ours, "trusted", 11, 1.1},
		{"netstack-offload, rawlink, vnet header", result.Ours, "verified", 35.4, 0.34},
		{"netstack-offload, rawlink, vnet header", result.Ours, "trusted", 38, 0.3},
	}
	tunSend = []made{
		{"fdbased, fifo", result.Peer, "verified", 1.8, 5.7},
		{"netstack-offload, rawlink, vnet header, fifo", result.Ours, "verified", 18.3, 0.44},
	}
)

// wobble is what a round is off by: -6 to +6 per cent, 0 in the median.
func wobble(round int) float64 { return 1 + float64(round-2)*0.03 }

func (d *data) addStreams(scenario, direction string, flows int, modes []made) {
	for _, m := range modes {
		s := result.Series{Case: result.Case{
			Scenario: scenario, Kind: result.Stream, Direction: direction, Mode: m.mode, Side: m.side,
			Checksums: m.checksums, Flows: flows, MTU: 1500,
		}}
		for round := range d.Rounds {
			w := wobble(round)
			s.Samples = append(s.Samples, result.Sample{
				Gbps: m.gbps * w, CPUPerGB: m.cpu / w, MachinePerGB: 0.2 + max(0, m.cpu/w),
				Packets: 1000, MeanBytes: 1500, PerDelivery: -1, Resent: uint64(round),
			})
		}
		d.Series = append(d.Series, s)
	}
}

func (d *data) addLatencies(scenario string, modes []made) {
	for i, m := range modes {
		s := result.Series{Case: result.Case{
			Scenario: scenario, Kind: result.Latency, Direction: result.Both, Mode: m.mode, Side: m.side,
			Checksums: m.checksums, Flows: 1, MTU: 1500,
		}}
		for round := range d.Rounds {
			us := time.Duration(float64(20+i) * wobble(round) * float64(time.Microsecond))
			s.Samples = append(s.Samples, result.Sample{RTT: result.RTT{Count: 9000, P50: us, P90: 2 * us, P99: 4 * us, Max: 90 * us}})
		}
		d.Series = append(d.Series, s)
	}
}

// goTestOutput is what go test prints for a round of benchmarks.
func goTestOutput(round int) string {
	var b strings.Builder
	pkg := func(name string) { fmt.Fprintf(&b, "goos: linux\npkg: %s%s\n", module, name) }
	bench := func(ns float64, unit, format string, args ...any) {
		fmt.Fprintf(&b, "Benchmark%s-2 \t 100 \t %.1f ns/op \t %.1f %s\n", fmt.Sprintf(format, args...), ns*64*wobble(round), ns*wobble(round), unit)
	}
	pkg("coalesce")
	for i, flows := range []int{1, 4, 16, 64, 256, 1024, 4096} {
		bench(60+5*float64(i), "ns/packet", "Decide/tcp4/roundrobin/flows=%d", flows)
		bench(140+9*float64(i), "ns/packet", "Flows/tcp4/roundrobin/flows=%d/sum=verified/batch=8192", flows)
		bench(110+9*float64(i), "ns/packet", "Flows/tcp4/roundrobin/flows=%d/sum=trusted/batch=8192", flows)
	}
	for _, size := range []int{64, 128, 256, 512, 1024, 1500, 4096, 9000} {
		bench(70+float64(size)/20, "ns/packet", "Size/tcp4/size=%d/sum=verified", size)
		bench(65+float64(size)/40, "ns/packet", "Size/tcp4/size=%d/sum=trusted", size)
		bench(60+float64(size)/20, "ns/packet", "Size/udp4/size=%d/sum=verified", size)
	}
	pkg("segment")
	for _, size := range []int{64, 128, 256, 512, 1024, 1500, 4096, 9000} {
		bench(50+float64(size)/22, "ns/segment", "Size/tcp4/size=%d", size)
	}
	pkg("bench/peers")
	for _, load := range []string{"tcp4/bulk/flows=1", "tcp4/roundrobin/flows=8", "tcp4/mice/flows=64", "tcp6/bulk/flows=1"} {
		bench(180, "ns/packet", "Receive/%s/batch=64/sum=trusted/impl=none", load)
		bench(330, "ns/packet", "Receive/%s/batch=64/sum=trusted/impl=gvisor", load)
		bench(460, "ns/packet", "Receive/%s/batch=64/sum=verified/impl=gvisor", load)
		bench(120, "ns/packet", "Receive/%s/batch=64/sum=trusted/impl=ours", load)
		bench(150, "ns/packet", "Receive/%s/batch=64/sum=verified/impl=ours", load)
		bench(1800, "ns/packet", "TUNWrite/%s/batch=128/impl=none", load)
		bench(300, "ns/packet", "TUNWrite/%s/batch=128/impl=wireguard-go", load)
		bench(260, "ns/packet", "TUNWrite/%s/batch=128/impl=ours", load)
	}
	for _, flows := range []int{1, 16, 256} {
		bench(180, "ns/packet", "Receive/tcp4/roundrobin/flows=%d/batch=1024/sum=trusted/impl=none", flows)
		bench(460+float64(flows), "ns/packet", "Receive/tcp4/roundrobin/flows=%d/batch=1024/sum=verified/impl=gvisor", flows)
		bench(160, "ns/packet", "Receive/tcp4/roundrobin/flows=%d/batch=1024/sum=verified/impl=ours", flows)
	}
	bench(400, "ns/segment", "TUNRead/tcp4/segments=43/impl=wireguard-go")
	bench(300, "ns/segment", "TUNRead/tcp4/segments=43/impl=ours")
	pkg("bench/compare")
	bench(4000, "CPU-ns/packet", "Compare/udp/memlink")
	bench(4080, "CPU-ns/packet", "Compare/udp/endpoint-over-memlink")
	pkg("tests/wireguard/compare")
	joined := func(side string, rate, cpu float64) {
		fmt.Fprintf(&b, "BenchmarkCompare/tunnel/flows=1/%s-2 \t 1 \t %.1f CPU-s/GB \t %.3f Gbit/s\n", side, cpu, rate)
	}
	joined("wireguard-go-tun/netstack", 0.8, 20)
	joined("wgnet", 2.48, 5)
	pkg("tests/forwarding")
	bench(50, "Gbit/s", "Router/tcp4/link=veth/impl=rawlink")
	bench(47, "Gbit/s", "Router/tcp4/link=veth/impl=ours-rawlink")
	b.WriteString("PASS\n")
	return b.String()
}
