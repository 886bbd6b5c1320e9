// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"bytes"
	"runtime/debug"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

func TestTable(t *testing.T) {
	stream := result.Case{Scenario: "veth", Kind: result.Stream, Direction: result.Receive, Mode: "fdbased", Checksums: "verified", Flows: 8, MTU: 1500}
	kernel := stream
	kernel.Mode = "kernel"
	trips := result.Case{Scenario: "veth", Kind: result.Latency, Direction: result.Both, Mode: "fdbased", Checksums: "trusted", Flows: 1, IPv6: true, MTU: 9000}
	r := &result.Report{
		Machine: result.Machine{CPU: "a CPU", Cores: 2, OS: "Linux 6", Go: "go1.26", GVisor: "v0"},
		Rounds:  3, Duration: time.Second, Took: 7 * time.Second,
		Series: []result.Series{
			{Case: stream, Samples: []result.Sample{
				{Gbps: 2, CPUPerGB: 5, MachinePerGB: 6, Packets: 10, MeanBytes: 1499, PerDelivery: 1, Resent: 3},
				{Gbps: 4, CPUPerGB: 4, MachinePerGB: 7, Packets: 10, MeanBytes: 1499, PerDelivery: 1},
				{Gbps: 3, CPUPerGB: 3, MachinePerGB: 8, Packets: 10, MeanBytes: 1499, PerDelivery: 1, Resent: 200},
			}},
			{Case: kernel, Samples: []result.Sample{{Gbps: 10, CPUPerGB: -1, MachinePerGB: 1}}},
			{Case: trips, Samples: []result.Sample{{RTT: result.RTT{Count: 1000, P50: 20 * time.Microsecond, P90: 30 * time.Microsecond, P99: 40 * time.Microsecond}}}},
		},
		Notes: []string{"a note"},
	}
	const want = `a CPU, 2 cores, Linux 6, go1.26, gVisor v0
medians (least-most) of 3 runs of 1s; took 7s

veth, receive, 8 flows, IPv4, MTU 1500  Gbit/s   CPU s/GB  machine  wire packets/delivery  mean bytes  resent
  fdbased, verified                     3 (2-4)  4 (3-5)   7 (6-8)  1                      1499        3
  kernel, verified                      10       -         1        -                      -           -

veth, latency, 1 flow, IPv6, MTU 9000  p50 us  p90 us  p99 us  round trips
  fdbased, trusted                     20      30      40      1000

* a note
`
	var got bytes.Buffer
	if err := WriteTable(&got, r); err != nil || got.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got.String(), want)
	}
}

func TestBuild(t *testing.T) {
	info := &debug.BuildInfo{
		Deps:     []*debug.Module{{Path: "gvisor.dev/gvisor", Version: "v1.2.3"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	}
	var m result.Machine
	build(&m, info)
	if m.GVisor != "v1.2.3" || m.Commit != "abc, modified" {
		t.Errorf("got %+v", m)
	}
}
