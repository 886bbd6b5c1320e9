// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Command compare measures wgnet against wireguard-go's own tun/netstack, in one
// run: two netstacks joined by two complete WireGuard peers over loopback UDP, and,
// to see the devices alone, joined without encryption.
//
//	go run ./compare
//	go run ./compare -flows 8
//
// The sides take turns, round by round, because the speed of a machine drifts;
// medians, least and most, and ratios to the first side are printed. Every byte is
// checked. CPU is that of the whole process, both stacks and both peers, per 10^9
// bytes of TCP payload.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/profile"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

type settings struct {
	rounds   int
	duration time.Duration
	flows    int
	cases    string
	sides    string
	profile  string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 7, "`number` of rounds, in each of which every side runs once")
	flag.DurationVar(&s.duration, "duration", time.Second, "`time` of one run")
	flag.IntVar(&s.flows, "flows", 1, "`number` of TCP connections side by side")
	flag.StringVar(&s.cases, "cases", "device,tunnel", "`what` to compare: device (no WireGuard), tunnel")
	flag.StringVar(&s.sides, "sides", "", "only the sides whose name matches this `regexp`")
	flag.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of everything to this `file`; see also -sides")
	flag.Parse()
	if err := run(&s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(s *settings) error {
	if s.rounds < 1 || s.duration <= 0 || s.flows < 1 {
		return errors.New("compare: -rounds, -duration and -flows must be positive")
	}
	match, err := regexp.Compile(s.sides)
	if err != nil {
		return fmt.Errorf("compare: -sides: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Clone(sides), func(x side) bool { return !match.MatchString(x.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("compare: -sides %q matches none", s.sides)
	}
	stop, err := profile.CPU(s.profile)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	defer stop()
	for _, name := range strings.Split(s.cases, ",") {
		join := joins[name]
		if join == nil {
			return fmt.Errorf("compare: no case %q: choose device or tunnel", name)
		}
		if err := compare(s, name, join, chosen); err != nil {
			return fmt.Errorf("compare: %s: %w", name, err)
		}
	}
	return nil
}

// compare runs one case and prints a row for each side.
func compare(s *settings, name string, join joiner, chosen []side) error {
	results := make([]result, len(chosen))
	for round := range s.rounds {
		fmt.Fprintf(os.Stderr, "\r%s: round %d of %d ", name, round+1, s.rounds)
		for i := range chosen {
			if err := results[i].measure(s, &chosen[i], join); err != nil {
				return fmt.Errorf("%s: %w", chosen[i].name, err)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, flows: %d\tGbit/s\tratio\tCPU s/GB\tratio\n", name, s.flows)
	for i := range results {
		r, first := &results[i], &results[0]
		fmt.Fprintf(w, "  %s\t%s\t%.2f\t%s\t%.3f\n", chosen[i].name,
			r.rate, r.rate.median()/first.rate.median(), r.cpu, r.cpu.median()/first.cpu.median())
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// result is what the runs of a side gave.
type result struct {
	rate, cpu figures
}

// measure runs a side once.
func (r *result) measure(s *settings, of *side, join joiner) error {
	p, err := of.open(join)
	if err != nil {
		return err
	}
	defer p.close()
	ctx := context.Background() // a transfer has limits of its own
	// The handshake is none of ours.
	if _, err := transfer.Between(ctx, p.a, p.b, &transfer.Config{Bytes: 1}); err != nil {
		return err
	}
	before, known := transfer.CPUTime()
	got, err := transfer.Between(ctx, p.a, p.b, &transfer.Config{Flows: s.flows, Duration: s.duration})
	if err != nil {
		return err
	}
	after, _ := transfer.CPUTime()
	if !known {
		return errors.New("this system does not tell CPU time")
	}
	r.rate = append(r.rate, got.Gbps())
	r.cpu = append(r.cpu, got.PerGB(after-before))
	return nil
}

// figures are one for each run.
type figures []float64

func (f figures) median() float64 {
	sorted := slices.Sorted(slices.Values(f))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (f figures) String() string {
	return fmt.Sprintf("%.3g (%.3g-%.3g)", f.median(), slices.Min(f), slices.Max(f))
}
