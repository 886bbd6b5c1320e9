// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// data is report.json: a result.Report, as which it also reads, and Go benchmarks.
type data struct {
	result.Report
	Benchmarks []benchmark `json:"benchmarks"`
	// Commands are those that ran the benchmarks.
	Commands []string `json:"benchmark_commands"`
}

// benchmark is one Go benchmark.
type benchmark struct {
	// Name begins with the package's directory and is without "Benchmark" and the
	// number of CPUs: coalesce.Flows/tcp4/roundrobin/flows=4/sum=verified/batch=8192.
	Name string `json:"name"`
	// Values are by unit, one a round.
	Values map[string][]float64 `json:"values"`
}

// parts are the function, with its package, and the case.
func (b *benchmark) parts() (function, rest string) {
	pkg, name, _ := strings.Cut(b.Name, ".")
	function, rest, _ = strings.Cut(name, "/")
	return pkg + "." + function, rest
}

// spread is that of the values of a unit.
func (b *benchmark) spread(unit string) *result.Spread { return spreadOf(b.Values[unit]) }

// spreadOf is that of values in any order, nil if there are none.
func spreadOf(values []float64) *result.Spread {
	s, ok := result.Of(slices.Sorted(slices.Values(values)))
	if !ok {
		return nil
	}
	return &s
}

// spread is that of what pick takes from the samples, nil where nothing is known.
func spread(s *result.Series, m metric) *result.Spread {
	got, ok := result.Of(s.Of(m.of))
	if !ok {
		return nil
	}
	return &got
}

// metric is a quantity of a sample.
type metric struct {
	name string // with its unit
	axis string // in pictures, if it is in any
	of   func(*result.Sample) float64
}

var (
	rate    = metric{"Gbit/s", "throughput, Gbit/s", func(s *result.Sample) float64 { return s.Gbps }}
	cpu     = metric{"CPU s/GB", "CPU of the netstack process, s/GB", func(s *result.Sample) float64 { return s.CPUPerGB }}
	machine = metric{"CPU s/GB, machine", "", func(s *result.Sample) float64 { return s.MachinePerGB }}
	packets = metric{"packets per delivery", "", func(s *result.Sample) float64 { return s.PerDelivery }}
	size    = metric{"mean bytes", "", func(s *result.Sample) float64 { return s.MeanBytes }}
	resent  = metric{"resent", "", func(s *result.Sample) float64 { return float64(s.Resent) }}
	p50     = metric{"p50 µs", "median, µs", func(s *result.Sample) float64 { return float64(s.RTT.P50) / 1e3 }}
	p90     = metric{"p90 µs", "90th percentile, µs", func(s *result.Sample) float64 { return float64(s.RTT.P90) / 1e3 }}
	p99     = metric{"p99 µs", "99th percentile, µs", func(s *result.Sample) float64 { return float64(s.RTT.P99) / 1e3 }}
)

// group is series that may be compared: all but how it is done is the same.
type group struct {
	key    string // what they have in common
	series []*result.Series
}

// groups sorts the series of a kind, in the order of the report.
func (d *data) groups(kind string, key func(*result.Case) string) (out []group) {
	for i := range d.Series {
		s := &d.Series[i]
		if s.Kind != kind {
			continue
		}
		k := key(&s.Case)
		at := slices.IndexFunc(out, func(g group) bool { return g.key == k })
		if at < 0 {
			at = len(out)
			out = append(out, group{key: k})
		}
		out[at].series = append(out[at].series, s)
	}
	return out
}

// link is what a picture is of: a scenario and a direction.
func link(c *result.Case) string {
	if c.Direction == result.Both {
		return c.Scenario
	}
	return c.Scenario + ", " + c.Direction
}

// load says what else has to be the same within a group.
func load(c *result.Case) string {
	out := "1 flow"
	if c.Flows != 1 {
		out = fmt.Sprintf("%d flows", c.Flows)
	}
	if c.IPv6 {
		out += ", IPv6"
	}
	return fmt.Sprintf("%s, MTU %d", out, c.MTU)
}

// mode names a series within a group, in a picture, which has little room.
func mode(c *result.Case) string {
	name := c.Mode
	if rest, ok := strings.CutPrefix(name, "netstack-offload, "); ok {
		name = "ours: " + rest
	}
	if c.Checksums == "" || c.Side == result.Kernel {
		return name
	}
	return name + ", " + c.Checksums
}

// find returns the benchmarks whose names match, with what the submatch is in each.
func (d *data) find(expr string) (found []*benchmark, sub []string) {
	re := regexp.MustCompile("^" + expr + "$")
	for i := range d.Benchmarks {
		b := &d.Benchmarks[i]
		if m := re.FindStringSubmatch(b.Name); m != nil {
			found, sub = append(found, b), append(sub, m[len(m)-1])
		}
	}
	return found, sub
}

// readData reads a report.json, or the result of a comparison alone.
func readData(file string) (*data, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("report: -from: %w", err)
	}
	d := &data{}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("report: -from %s: %w; it takes a report.json that this command wrote", file, err)
	}
	return d, d.check()
}

// check finds out whether there is anything to show.
func (d *data) check() error {
	if len(d.Series) == 0 && len(d.Benchmarks) == 0 {
		return errors.New("report: nothing was measured: run it without -from, as root for real links, and with a -run that matches something")
	}
	for i := range d.Series {
		if len(d.Series[i].Samples) == 0 {
			return fmt.Errorf("report: no samples of %s, %s: measure again, or take the series out of the file",
				link(&d.Series[i].Case), d.Series[i].Mode)
		}
	}
	return nil
}

// slug makes a file's name of a chart's title up to the colon.
func (b *barChart) slug() string {
	title, _, _ := strings.Cut(b.title, ":")
	return strings.Trim(notSlug.ReplaceAllString(strings.ToLower(title), "-"), "-")
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)
