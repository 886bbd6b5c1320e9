// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

var kernelNotes = []string{
	"CPU/GB: CPU seconds (user and system) of the netstack process alone per GB (10^9 bytes); the kernel's sockets are another process's, but what the kernel does with a packet within the system call that sends it is the sender's",
}

// measureKernel measures between the kernel and netstack.
func measureKernel(ctx context.Context, o *options, stderr io.Writer) (*report, error) {
	// A run has its own limits; this is for a netstack end that does not keep them.
	limit := 2*time.Minute + time.Duration(o.Rounds)*8*2*o.Duration
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not finished within %v", limit))
	defer cancel()
	lab, err := links.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer lab.Close()
	if err := lab.Probe(&links.Run{Link: o.Link, MTU: o.MTU, IPv6: o.IPv6}); err != nil {
		return nil, err
	}
	trials, err := o.only(kernelTrials(o, lab))
	if err != nil {
		return nil, err
	}
	if o.CPUProfile != "" {
		if err := lab.StartProfile(o.CPUProfile); err != nil {
			return nil, err
		}
	}
	link := links.Links[o.Link]
	fmt.Fprintf(stderr, "stackdemo: a %s in a network namespace of its own, %d rounds of %d runs of %v\n",
		link.Title, o.Rounds, len(trials), o.Duration)
	c := newCollector(o.Rounds, stderr)
	if err := rounds(ctx, trials, o.Rounds, c.emit); err != nil {
		return nil, err
	}
	if o.CPUProfile != "" {
		if err := lab.StopProfile(); err != nil {
			return nil, err
		}
	}
	r := newReport(link.Title+" between kernel and netstack", o, c)
	r.CongestionControl = lab.CongestionControl
	r.Notes = slices.Concat(link.Notes, kernelNotes, commonNotes)
	return r, nil
}

func kernelTrials(o *options, lab *links.Lab) []trial {
	var trials []trial
	add := func(title, direction string, modes []links.Mode) {
		for _, m := range modes {
			run := links.Run{Link: o.Link, Direction: direction, Mode: m}
			trials = append(trials, newTrial(o, title, run, func(_ context.Context, r *links.Run) (result.Sample, error) {
				return lab.Run(r) // it has the context
			}))
		}
	}
	link := links.Links[o.Link]
	add("kernel to netstack", result.Receive, link.Receiving)
	add("netstack to kernel", result.Send, link.Sending)
	return trials
}
