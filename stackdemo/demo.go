// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

// A label names a row of the table.
type label struct {
	Direction string `json:"direction"`
	Mode      string `json:"mode"`
	// Checksums is what becomes of those of received packets: links.Verified or Trusted.
	Checksums string `json:"checksums"`
}

func (l label) String() string {
	return fmt.Sprintf("%s, %s, checksums %s", l.Direction, l.Mode, l.Checksums)
}

// A sample is what one run of a mode gave.
type sample struct {
	label
	Gbps float64 `json:"gbit_per_second"`
	// CPUPerGB is -1 where the system does not tell.
	CPUPerGB  float64 `json:"cpu_seconds_per_gb"`
	Packets   uint64  `json:"packets"`
	MeanBytes float64 `json:"mean_packet_bytes"`
	// Resent counts TCP segments that the sender sent again.
	Resent uint64 `json:"resent_segments"`
}

// A trial is a mode that can be run.
type trial struct {
	label
	run func(ctx context.Context, seed uint64) (sample, error)
}

// newTrial fills in what the flags say of a run.
func newTrial(o *options, direction string, r links.Run, run func(context.Context, *links.Run) (result.Sample, error)) trial {
	r.Kind, r.MTU, r.IPv6 = result.Stream, o.MTU, o.IPv6
	return trial{
		label: label{direction, r.Mode.Name, r.Mode.Checksums()},
		run: func(ctx context.Context, seed uint64) (sample, error) {
			r := r
			r.Transfer = *o.transfer(seed)
			s, err := run(ctx, &r)
			return sample{Gbps: s.Gbps, CPUPerGB: s.CPUPerGB, Packets: s.Packets, MeanBytes: s.MeanBytes, Resent: s.Resent}, err
		},
	}
}

// rounds runs every trial once a round: the machine's speed drifts, and so it
// drifts for all alike. Each sample goes to emit.
func rounds(ctx context.Context, trials []trial, n int, emit func(round int, s sample) error) error {
	for round := range n {
		for i, t := range trials {
			s, err := t.run(ctx, uint64(round*len(trials)+i+1))
			if err != nil {
				return fmt.Errorf("%s: %w", t.label, err)
			}
			s.label = t.label
			if err := emit(round, s); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// collector gathers samples and says on stderr how it goes.
type collector struct {
	rounds  int
	stderr  io.Writer
	labels  []label
	samples map[label][]sample
}

func newCollector(rounds int, stderr io.Writer) *collector {
	return &collector{rounds: rounds, stderr: stderr, samples: map[label][]sample{}}
}

func (c *collector) emit(round int, s sample) error {
	if c.samples[s.label] == nil {
		c.labels = append(c.labels, s.label)
	}
	c.samples[s.label] = append(c.samples[s.label], s)
	fmt.Fprintf(c.stderr, "round %d/%d: %s: %.2f Gbit/s\n", round+1, c.rounds, s.label, s.Gbps)
	return nil
}

// rows has for each label the sample with the median rate, whole: a row whose
// columns came from different runs would describe none of them.
func (c *collector) rows() []row {
	first := map[string]float64{}
	var out []row
	for _, l := range c.labels {
		s := slices.Clone(c.samples[l])
		r := row{}
		for _, x := range s {
			r.Rates = append(r.Rates, x.Gbps)
		}
		slices.SortFunc(s, func(a, b sample) int {
			if a.Gbps < b.Gbps {
				return -1
			}
			return 1
		})
		r.sample = s[(len(s)-1)/2]
		if _, ok := first[l.Direction]; !ok {
			first[l.Direction] = r.Gbps
		}
		if base := first[l.Direction]; base > 0 {
			r.Ratio = r.Gbps / base
		}
		out = append(out, r)
	}
	return out
}
