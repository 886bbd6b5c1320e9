// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// WriteTable prints a report: a table for each group of cases that may be compared.
func WriteTable(w io.Writer, r *result.Report) error {
	m := &r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, %s, gVisor %s\n", m.CPU, m.Cores, m.OS, m.Go, m.GVisor)
	runs := fmt.Sprintf("one round of runs of %v", r.Duration)
	if r.Rounds > 1 {
		runs = fmt.Sprintf("medians (least-most) of %d runs of %v", r.Rounds, r.Duration)
	}
	fmt.Fprintf(w, "%s; took %v\n", runs, r.Took.Round(time.Second))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for i := range r.Series {
		s := &r.Series[i]
		if g := group(&s.Case); g != last {
			t.Flush() // every table has widths of its own
			fmt.Fprintf(t, "\n%s\t%s\n", g, strings.Join(heads(s), "\t"))
			last = g
		}
		fmt.Fprintf(t, "  %s, %s\t%s\n", s.Mode, s.Checksums, strings.Join(columns(s), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "* %s\n", n)
	}
	return nil
}

func heads(s *result.Series) []string {
	if s.Kind == result.Latency {
		return []string{"p50 us", "p90 us", "p99 us", "round trips"}
	}
	return []string{"Gbit/s", "CPU s/GB", "machine", "wire packets/delivery", "mean bytes", "resent"}
}

func columns(s *result.Series) []string {
	if s.Kind == result.Latency {
		return []string{
			spread(s, func(x *result.Sample) float64 { return us(x.RTT.P50) }),
			spread(s, func(x *result.Sample) float64 { return us(x.RTT.P90) }),
			spread(s, func(x *result.Sample) float64 { return us(x.RTT.P99) }),
			median(s, func(x *result.Sample) float64 { return float64(x.RTT.Count) }),
		}
	}
	return []string{
		spread(s, func(x *result.Sample) float64 { return x.Gbps }),
		spread(s, func(x *result.Sample) float64 { return x.CPUPerGB }),
		spread(s, func(x *result.Sample) float64 { return x.MachinePerGB }),
		median(s, func(x *result.Sample) float64 { return x.PerDelivery }),
		median(s, func(x *result.Sample) float64 { return x.MeanBytes }),
		median(s, func(x *result.Sample) float64 { return float64(x.Resent) }),
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// spread is a column's median, and its least and greatest value where there are two.
func spread(s *result.Series, pick func(*result.Sample) float64) string {
	values := s.Of(pick)
	v, ok := result.Of(values)
	switch {
	case !ok:
		return "-"
	case len(values) == 1:
		return fmt.Sprintf("%.3g", v.Median)
	}
	return fmt.Sprintf("%.3g (%.3g-%.3g)", v.Median, v.Min, v.Max)
}

// median is a column's median, for what is not to be compared closely.
func median(s *result.Series, pick func(*result.Sample) float64) string {
	v, ok := result.Of(s.Of(pick))
	switch {
	case !ok || v.Max == 0:
		return "-"
	case v.Median < 100:
		return fmt.Sprintf("%.3g", v.Median)
	}
	return fmt.Sprintf("%.0f", v.Median)
}
