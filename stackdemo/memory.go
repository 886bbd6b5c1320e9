// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/profile"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

func measureMemory(ctx context.Context, o *options, stderr io.Writer) (*report, error) {
	trials, err := o.only(memoryTrials(o))
	if err != nil {
		return nil, err
	}
	stop, err := profile.CPU(o.CPUProfile)
	if err != nil {
		return nil, err
	}
	defer stop()
	fmt.Fprintf(stderr, "stackdemo: two stacks over memory, %d rounds of %d runs of %v\n", o.Rounds, len(trials), o.Duration)
	c := newCollector(o.Rounds, stderr)
	if err := rounds(ctx, trials, o.Rounds, c.emit); err != nil {
		return nil, err
	}
	r := newReport("memory", o, c)
	r.CongestionControl = "cubic"
	r.Notes = append(r.Notes,
		"CPU/GB: CPU seconds (user and system) of the whole process, which is both stacks and the link, per GB (10^9 bytes)")
	r.Notes = append(r.Notes, commonNotes...)
	return r, nil
}

func memoryTrials(o *options) []trial {
	var trials []trial
	for _, m := range links.MemoryModes {
		trials = append(trials, newTrial(o, "netstack to netstack", links.Run{Mode: m}, func(ctx context.Context, r *links.Run) (result.Sample, error) {
			return links.Memory(ctx, r)
		}))
	}
	return trials
}
