// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package result is what a comparison measured, as JSON between the command that
// measures and the one that draws.
//
// # When not to use it
//
// For Go benchmarks: their output has a format of its own, which benchstat and
// golang.org/x/perf/benchfmt read.
package result

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Report is one run of the comparison.
type Report struct {
	Machine  Machine       `json:"machine"`
	Started  time.Time     `json:"started"`
	Took     time.Duration `json:"took_ns"`
	Command  string        `json:"command"`
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration_ns"` // of one sample
	Series   []Series      `json:"series"`
	// Notes are sentences on how it was measured, and on what could not be.
	Notes []string `json:"notes"`
}

// Machine says where it ran.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	OS     string `json:"os"` // with its release
	Go     string `json:"go"`
	GVisor string `json:"gvisor"` // module version
	Commit string `json:"commit"` // of this module, where known
}

// Kinds of measurement.
const (
	Stream  = "stream"  // bulk TCP; Gbps and the CPU columns
	Latency = "latency" // one byte there and back, one flow; RTT
)

// Directions, as netstack sees them.
const (
	Receive = "receive"
	Send    = "send"
	Both    = "both" // latency, and whatever passes two stacks: memory, proxies
)

// Case is what was measured. Two series of one report never have the same Case.
type Case struct {
	// Scenario groups what may be compared: the same link, direction, flows and
	// sizes, in interleaved runs. "veth", "veth vnet", "tun", "memory", "proxy".
	Scenario string `json:"scenario"`
	Kind     string `json:"kind"`
	// Direction is Receive, Send or Both.
	Direction string `json:"direction"`
	// Mode is what drives the link: "fdbased, gVisor GRO", "netstack-offload,
	// rawlink, vnet header", "kernel".
	Mode string `json:"mode"`
	// Side says whose it is: Ours, Peer or Kernel.
	Side string `json:"side"`
	// Checksums is "verified" or, where the link vouches, "trusted".
	Checksums string `json:"checksums"`
	Flows     int    `json:"flows"`
	IPv6      bool   `json:"ipv6"`
	MTU       int    `json:"mtu"`
}

// Sides of a Case.
const (
	Ours   = "ours"
	Peer   = "peer"
	Kernel = "kernel" // the kernel at both ends: the ceiling
)

// Series is a case and its samples, one a round.
type Series struct {
	Case
	Samples []Sample `json:"samples"`
}

// Sample is one run. A value that the system does not tell is -1, one that means
// nothing for the kind of case is 0.
type Sample struct {
	// Gbps is of the payload that arrived while the sender sent.
	Gbps float64 `json:"gbit_per_second"`
	// CPU seconds, user and system, per GB (10^9 bytes) of payload: of the process
	// that netstack runs in, and of the whole machine.
	CPUPerGB     float64 `json:"cpu_seconds_per_gb"`
	MachinePerGB float64 `json:"machine_cpu_seconds_per_gb"`
	// Packets is how many netstack received or sent, MeanBytes their mean size.
	Packets   uint64  `json:"packets"`
	MeanBytes float64 `json:"mean_packet_bytes"`
	// PerDelivery is how many packets of the wire one packet delivered to netstack
	// carries.
	PerDelivery float64 `json:"wire_packets_per_delivery"`
	// Resent counts the TCP segments that the sender sent again.
	Resent uint64 `json:"resent_segments"`
	RTT    RTT    `json:"rtt_ns"`
}

// RTT has percentiles of round trips.
type RTT struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// Of returns the values that pick takes from the samples, sorted, without those that
// are unknown (less than 0).
func (s *Series) Of(pick func(*Sample) float64) []float64 {
	var out []float64
	for i := range s.Samples {
		if v := pick(&s.Samples[i]); v >= 0 {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// Spread is the median of some values, with the least and the greatest.
type Spread struct{ Median, Min, Max float64 }

// Of returns the spread of sorted values, and false if there are none.
func Of(sorted []float64) (Spread, bool) {
	n := len(sorted)
	if n == 0 {
		return Spread{}, false
	}
	return Spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}, true
}

// Write writes the report as indented JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// Read reads what Write wrote.
func Read(r io.Reader) (*Report, error) {
	out := &Report{}
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return nil, fmt.Errorf("result: reading a report: %w; it is the JSON that the comparison writes", err)
	}
	return out, nil
}
