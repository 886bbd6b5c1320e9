// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Command compare measures, in memory and in one run, netstack over an Endpoint
// against the same netstack without: transfers between two stacks, round trips,
// and traffic that cannot merge.
//
//	go run ./bench/compare
//
// The sides of a comparison take turns, round by round, because the speed of a
// machine drifts; medians and ratios of medians are printed. CPU is that of the
// whole process, both stacks and the goroutines that move packets, per 10^9
// bytes of TCP payload or per packet.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gvisor.dev/gvisor/pkg/log"

	"github.com/netstack-offload/netstack-offload/bench/profile"
)

type settings struct {
	rounds   int
	duration time.Duration
	flows    int
	cases    string
	profile  string
}

func main() {
	quiet()
	var s settings
	flag.IntVar(&s.rounds, "rounds", 7, "rounds, in each of which every side runs once")
	flag.DurationVar(&s.duration, "duration", time.Second, "length of one run")
	flag.IntVar(&s.flows, "flows", 1, "TCP connections of a transfer")
	flag.StringVar(&s.cases, "cases", "transfer,vouched,latency,udp,acks,mice", "what to compare")
	flag.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of everything to this file")
	flag.Parse()
	if err := run(&s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// quiet keeps netstack from warning of segments that come while a stack is closed.
func quiet() {
	log.SetTarget(log.GoogleEmitter{Writer: &log.Writer{Next: io.Discard}})
}

// side is one of two to compare. measure runs once and returns its figures in
// the order of comparison.figures.
type side struct {
	name    string
	measure func(*settings) ([]float64, error)
}

// comparison is two sides of one case; the second is compared with the first.
type comparison struct {
	name    string
	figures []string
	sides   [2]side
}

func run(s *settings) error {
	if s.rounds < 1 || s.duration <= 0 || s.flows < 1 {
		return errors.New("compare: -rounds, -duration and -flows must be positive")
	}
	stop, err := profile.CPU(s.profile)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	defer stop()
	known := map[string]comparison{}
	for _, c := range comparisons() {
		known[c.name] = c
	}
	for _, name := range strings.Split(s.cases, ",") {
		c, ok := known[name]
		if !ok {
			return fmt.Errorf("compare: no case %q: choose from transfer, vouched, latency, udp, acks, mice", name)
		}
		if err := c.run(s); err != nil {
			return fmt.Errorf("compare: %s: %w", name, err)
		}
	}
	return nil
}

// run prints a row for each side: medians, least and most of each figure, and
// the ratio of the medians.
func (c *comparison) run(s *settings) error {
	got := [2][][]float64{make([][]float64, len(c.figures)), make([][]float64, len(c.figures))}
	for round := range s.rounds {
		fmt.Fprintf(os.Stderr, "\r%s: round %d of %d ", c.name, round+1, s.rounds)
		for i := range c.sides {
			figures, err := c.sides[i].measure(s)
			if err != nil {
				return err
			}
			for j, f := range figures {
				got[i][j] = append(got[i][j], f)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", c.name, strings.Join(c.figures, "\t"))
	for i := range c.sides {
		fmt.Fprintf(w, "  %s", c.sides[i].name)
		for _, values := range got[i] {
			slices.Sort(values)
			fmt.Fprintf(w, "\t%.3g (%.3g-%.3g)", median(values), values[0], values[len(values)-1])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "  ratio")
	for j := range c.figures {
		fmt.Fprintf(w, "\t%.3f", median(got[1][j])/median(got[0][j]))
	}
	fmt.Fprint(w, "\n\n")
	return w.Flush()
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
