// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// table is one of the report's. Columns after the first are figures.
type table struct {
	Title, Text string
	Head        []string
	Rows        [][]string
}

// markdown writes the table as GitHub reads it.
func (t *table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "### %s\n\n", t.Title)
	if t.Text != "" {
		fmt.Fprintf(b, "%s\n\n", t.Text)
	}
	line := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(b, "| %s ", strings.ReplaceAll(c, "|", `\|`))
		}
		b.WriteString("|\n")
	}
	line(t.Head)
	b.WriteString("| --- " + strings.Repeat("| ---: ", len(t.Head)-1) + "|\n")
	for _, r := range t.Rows {
		line(r)
	}
	b.WriteString("\n")
}

// columns of a stream's table and of a latency's.
var (
	streamColumns  = []metric{rate, cpu, machine, packets, size, resent}
	latencyColumns = []metric{p50, p90, p99}
)

// streamTables has one table for each link, direction and load.
func (d *data) streamTables() (out []table) {
	return d.caseTables(result.Stream, streamColumns, "of the fastest peer")
}

// latencyTables has one table for each link.
func (d *data) latencyTables() (out []table) {
	return d.caseTables(result.Latency, latencyColumns, "")
}

// caseTables has a row for every series of a kind. A ratio to the fastest peer is
// added where it has a name.
func (d *data) caseTables(kind string, columns []metric, ratio string) (out []table) {
	for _, g := range d.groups(kind, func(c *result.Case) string { return link(c) + ", " + load(c) }) {
		t := table{Title: g.key, Head: []string{"mode", "checksums"}}
		for _, m := range columns {
			t.Head = append(t.Head, m.name)
		}
		if ratio != "" {
			t.Head = append(t.Head, "rate "+ratio, "CPU")
		}
		best := g.bestPeer()
		for _, s := range g.series {
			row := []string{s.Mode, or(s.Checksums, unknown)}
			for _, m := range columns {
				row = append(row, spreadText(spread(s, m)))
			}
			if ratio != "" {
				row = append(row, compared(s, best, rate), compared(s, best, cpu))
			}
			t.Rows = append(t.Rows, row)
		}
		out = append(out, t)
	}
	return out
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// bestPeer is the fastest of the peers, nil if there is none.
func (g *group) bestPeer() (best *result.Series) {
	for _, s := range g.series {
		if s.Side == result.Peer && (best == nil || faster(s, best)) {
			best = s
		}
	}
	return best
}

// compared is the median of the rounds' ratios.
func compared(s, to *result.Series, m metric) string {
	if to == nil {
		return unknown
	}
	got := spreadOf(ratios(rounds(s, m), rounds(to, m)))
	if got == nil {
		return unknown
	}
	return figure(got.Median)
}

// benchmarkTables has a table for each benchmark function.
func (d *data) benchmarkTables() (out []table) {
	last := ""
	for i := range d.Benchmarks {
		b := &d.Benchmarks[i]
		function, rest := b.parts()
		if function != last {
			last = function
			out = append(out, table{Title: "Benchmark " + function, Head: append([]string{"case"}, benchmarkUnits(b)...)})
		}
		t := &out[len(out)-1]
		row := []string{rest}
		for _, unit := range t.Head[1:] {
			row = append(row, spreadText(b.spread(unit)))
		}
		t.Rows = append(t.Rows, row)
	}
	return out
}

// units are those worth a column, in this order.
var units = []string{"ns/packet", "ns/segment", "packets/run", "packets/delivery", "MB/s", "Gbit/s", "CPU-s/GB", "CPU-ns/packet", "p50-ns", "p99-ns", "B/op", "allocs/op"}

func benchmarkUnits(b *benchmark) (out []string) {
	for _, u := range units {
		if len(b.Values[u]) > 0 {
			out = append(out, u)
		}
	}
	return out
}
