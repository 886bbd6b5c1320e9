// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// ask is a ratio that this project set out to reach.
type ask struct {
	name string // what, against what
	// of over to is the ratio. of has our own series.
	of, to source
	wants  []want
	// main puts it into the main picture, under this title, with the kernel in one of
	// these modes.
	main    string
	ceiling []string
}

// want is a bound: at least or, as the other is 0, at most.
type want struct {
	what          string
	metric        metric
	least, atMost float64
}

func rateOf(least float64) want     { return want{"rate", rate, least, 0} }
func cpuOf(most float64) want       { return want{"CPU per GB", cpu, 0, most} }
func roundTripOf(most float64) want { return want{"round trip, p50", p50, 0, most} }
func costOf(most float64) want      { return want{"time per packet", metric{name: "ns/packet"}, 0, most} }
func cpuTimeOf(most float64) want {
	return want{"CPU per packet", metric{name: "CPU ns/packet"}, 0, most}
}
func resentOf(most float64) want { return want{"sent again", sentAgain, 0, most} }

// sentAgain is what the sender sent again, by what arrived. One is added, as a run often
// has none.
var sentAgain = metric{of: func(s *result.Sample) float64 { return float64(s.Resent+1) / s.Gbps }}

// source chooses what is on one side of a ratio: series of the comparison or a
// benchmark.
type source struct {
	side                string
	scenario, direction string // empty is any
	// modes are the names of those to choose from: the fastest is taken, as a peer
	// is measured at its best settings.
	modes     []string
	checksums string
	flows     int    // 0 means 1
	kind      string // empty is result.Stream
	// bench is a benchmark's name, for all else.
	bench string
}

// series finds the source's fastest series.
func (q *source) series(d *data) (best *result.Series) {
	for i := range d.Series {
		s := &d.Series[i]
		if q.matches(&s.Case) && (best == nil || faster(s, best)) {
			best = s
		}
	}
	return best
}

func (q *source) matches(c *result.Case) bool {
	return c.Kind == or(q.kind, result.Stream) && (q.scenario == "" || c.Scenario == q.scenario) && c.Side == q.side &&
		(q.direction == "" || c.Direction == q.direction) &&
		(len(q.modes) == 0 || slices.Contains(q.modes, c.Mode)) &&
		(q.checksums == "" || c.Checksums == q.checksums) &&
		c.Flows == max(q.flows, 1) && !c.IPv6 && c.MTU != jumbo
}

// jumbo is the MTU that is measured beside the usual one.
const jumbo = 9000

func faster(a, b *result.Series) bool {
	x, y := spread(a, rate), spread(b, rate)
	return x != nil && (y == nil || x.Median > y.Median)
}

// values are the source's, one a round.
func (q *source) values(d *data, m metric) []float64 {
	if q.bench != "" {
		i := slices.IndexFunc(d.Benchmarks, func(b benchmark) bool { return b.Name == q.bench })
		if i < 0 {
			return nil
		}
		return d.Benchmarks[i].Values[strings.ReplaceAll(m.name, " ", "-")]
	}
	if s := q.series(d); s != nil {
		return rounds(s, m)
	}
	return nil
}

// rounds are a series' values in their order.
func rounds(s *result.Series, m metric) (values []float64) {
	for i := range s.Samples {
		values = append(values, m.of(&s.Samples[i]))
	}
	return values
}

// verdict is a want and what was got.
type verdict struct {
	ask  *ask
	want want
	got  *result.Spread // nil: unknown
}

// verdicts judges all asks.
func (d *data) verdicts() (out []verdict) {
	for i := range asks {
		a := &asks[i]
		for _, w := range a.wants {
			got := ratios(a.of.values(d, w.metric), a.to.values(d, w.metric))
			out = append(out, verdict{a, w, spreadOf(got)})
		}
	}
	return out
}

// ratios are those of the rounds in which both are known. Both sides of a round ran
// one after the other, so the machine's drift is not in them. If a run failed it
// cannot be told which belong together, and the medians make the one ratio.
func ratios(over, under []float64) (out []float64) {
	if len(over) != len(under) {
		o, u := spreadOf(over), spreadOf(under)
		if o == nil || u == nil {
			return nil
		}
		over, under = []float64{o.Median}, []float64{u.Median}
	}
	for i := range over {
		if over[i] >= 0 && under[i] > 0 {
			out = append(out, over[i]/under[i])
		}
	}
	return out
}

// asked is the bound in words.
func (w *want) asked() string {
	if w.least > 0 {
		return fmt.Sprintf("≥ %.3g", w.least)
	}
	return fmt.Sprintf("≤ %.3g", w.atMost)
}

// verdict is "met", "not met" or "not measured".
func (v *verdict) verdict() string {
	switch {
	case v.got == nil:
		return "not measured"
	case v.got.Median >= v.want.least && (v.want.atMost == 0 || v.got.Median <= v.want.atMost):
		return "met"
	default:
		return "not met"
	}
}

// askTable is what was asked and what was got.
func (d *data) askTable() table {
	t := table{
		Title: "What was asked, what was got",
		Text: "Ratios of the rounds: the median, with the least and the greatest. Peers at the settings that suit them best. " +
			"Sent again: segments that the sender resent, and one, by what arrived.",
		Head: []string{"what, against what", "of", "asked", "got", ""},
	}
	for _, v := range d.verdicts() {
		t.Rows = append(t.Rows, []string{v.ask.name, v.want.what, v.want.asked(), spreadText(v.got), v.verdict()})
	}
	return t
}

// mainChart is the picture for the top of a README: ours, the peer that the issue
// named, and the kernel, by link.
func (d *data) mainChart() *barChart {
	c := &barChart{
		title: "TCP between the kernel and netstack, one flow: throughput (more is better) and CPU (less is better)",
		axes:  []string{rate.axis, cpu.axis},
	}
	for i := range asks {
		a := &asks[i]
		if a.main == "" {
			continue
		}
		ceiling := source{side: result.Kernel, direction: a.of.direction, modes: a.ceiling}
		for _, q := range []*source{&a.of, &a.to, &ceiling} {
			if s := q.series(d); s != nil {
				label := mode(&s.Case)
				if s.Scenario != a.of.scenario {
					label += ", " + s.Scenario
				}
				c.bar(a.main, label, s.Side).spreads = []*result.Spread{spread(s, rate), spread(s, cpu)}
			}
		}
	}
	return c
}

// spreadText is a median with its range, where there is one to be seen.
func spreadText(s *result.Spread) string {
	if s == nil {
		return unknown
	}
	median, least, most := figure(s.Median), figure(s.Min), figure(s.Max)
	if least == most {
		return median
	}
	return median + " [" + least + "–" + most + "]"
}

const unknown = "–"
