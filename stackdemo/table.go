// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// report is all that is printed.
type report struct {
	Link              string   `json:"link"`
	MTU               int      `json:"mtu"`
	Flows             int      `json:"flows"`
	IPv6              bool     `json:"ipv6"`
	Rounds            int      `json:"rounds"`
	SecondsPerRun     float64  `json:"seconds_per_run"`
	CongestionControl string   `json:"congestion_control"`
	Rows              []row    `json:"rows"`
	Notes             []string `json:"notes"`
}

type row struct {
	sample
	// Ratio is the rate over that of the direction's first row.
	Ratio float64 `json:"ratio"`
	// Rates are those of all rounds, in the order of running.
	Rates []float64 `json:"gbit_per_second_by_round"`
}

func newReport(link string, o *options, c *collector) *report {
	return &report{
		Link:          link,
		MTU:           o.MTU,
		Flows:         o.Flows,
		IPv6:          o.IPv6,
		Rounds:        o.Rounds,
		SecondsPerRun: o.Duration.Seconds(),
		Rows:          c.rows(),
	}
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, err := io.WriteString(w, r.text())
	return err
}

func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n\n", r.title())
	direction, mode := len("direction"), len("mode")
	for _, x := range r.Rows {
		direction, mode = max(direction, len(x.Direction)), max(mode, len(x.Mode))
	}
	fmt.Fprintf(&b, "%-*s  %-*s  %-9s  %7s  %7s  %9s  %10s  %6s  %6s\n", direction, "direction",
		mode, "mode", "checksums", "Gbit/s", "CPU/GB", "packets", "mean bytes", "resent", "ratio")
	last := ""
	for _, x := range r.Rows {
		if last != "" && x.Direction != last {
			b.WriteString("\n")
		}
		last = x.Direction
		cpu := "-"
		if x.CPUPerGB >= 0 {
			cpu = fmt.Sprintf("%.2f", x.CPUPerGB)
		}
		fmt.Fprintf(&b, "%-*s  %-*s  %-9s  %7.2f  %7s  %9d  %10.0f  %6d  %5.2fx\n", direction, x.Direction,
			mode, x.Mode, x.Checksums, x.Gbps, cpu, x.Packets, x.MeanBytes, x.Resent, x.Ratio)
	}
	b.WriteString("\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "* %s\n", n)
	}
	return b.String()
}

func (r *report) title() string {
	version := "IPv4"
	if r.IPv6 {
		version = "IPv6"
	}
	flows, runs := "1 TCP flow", "one run"
	if r.Flows > 1 {
		flows = fmt.Sprintf("%d TCP flows", r.Flows)
	}
	if r.Rounds > 1 {
		runs = fmt.Sprintf("median of %d runs", r.Rounds)
	}
	return fmt.Sprintf("%s, MTU %d, %s over %s, %s at both ends; %s of %.4g s",
		r.Link, r.MTU, flows, version, r.CongestionControl, runs, r.SecondsPerRun)
}

// commonNotes explain columns that mean the same over every link.
var commonNotes = []string{
	"every byte was checked at both ends",
	"packets, mean bytes: what passed between the stack and its link in the direction of the data",
	"resent: TCP segments that the sender sent again",
	"ratio: Gbit/s over the first row of the same direction",
}
