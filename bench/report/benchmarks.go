// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

const module = "github.com/netstack-offload/netstack-offload/"

// suite is benchmarks of one module.
type suite struct {
	dir      string // of the module, from the root of the repository
	bench    string // as go test -bench takes it
	time     string // for each, as go test -benchtime takes it
	times    int    // how often in a round
	packages []string
}

// Of benchmarks of a whole transfer an operation is one run; single runs differ much.
var suites = []suite{
	{".", "^Benchmark(Decide|Coalesce|Flows|Size|GVisorGRO)$", "50ms", 1, []string{"./coalesce", "./segment"}},
	{"bench/peers", "^Benchmark(Receive|Transfer|Latency|TUNRead|TUNWrite)$", "50ms", 1, []string{"."}},
	{".", "^BenchmarkCompare$/^(udp|acks|mice)$", "1x", 5, []string{"./bench/compare"}},
	{"tests/wireguard", "^BenchmarkCompare$", "1x", 3, []string{"./compare"}},
	{".", "^BenchmarkRouter$", "1x", 1, []string{"./tests/forwarding"}},
}

// suitesFor are the suites as they run: with -quick every benchmark once.
func suitesFor(quick bool) []suite {
	run := slices.Clone(suites)
	if quick {
		for i := range run {
			run[i].time, run[i].times = "1x", 1
		}
	}
	return run
}

func (s *suite) args() []string {
	return append([]string{"test", "-run", "^$", "-bench", s.bench, "-benchtime", s.time}, s.packages...)
}

// command is what to type in the root of the repository.
func (s *suite) command() string {
	cmd := "go " + shell(s.args())
	if s.dir != "." {
		return "cd " + s.dir + " && " + cmd
	}
	return cmd
}

// shell is arguments as a shell takes them.
func shell(args []string) string {
	quoted := slices.Clone(args)
	for i, a := range quoted {
		if strings.ContainsAny(a, "^$|() *[]") {
			quoted[i] = "'" + a + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// benchmarkRounds is how often each suite runs.
const benchmarkRounds = 5

// runBenchmarks runs every suite once a round, so that a drifting machine drifts for
// all of them. Where one fails, that run is left out and noted, and the others go on.
func (d *data) runBenchmarks(ctx context.Context, root string, quick bool) error {
	rounds := benchmarkRounds
	if quick {
		rounds = 1
	}
	suites := suitesFor(quick)
	for i := range suites {
		d.Commands = append(d.Commands, suites[i].command())
	}
	var failed []error
	for round := range rounds {
		for i := range suites {
			s := &suites[i]
			fmt.Fprintf(os.Stderr, "benchmarks: round %d of %d: %s\n", round+1, rounds, s.command())
			for range s.times {
				err := d.runSuite(ctx, root, s)
				if ctx.Err() != nil {
					return errors.Join(append(failed, ctx.Err())...)
				}
				if err != nil {
					failed = append(failed, err)
					d.Notes = append(d.Notes, fmt.Sprintf("failed in round %d: %s", round+1, s.command()))
				}
			}
		}
	}
	return errors.Join(failed...)
}

func (d *data) runSuite(ctx context.Context, root string, s *suite) error {
	cmd := exec.CommandContext(ctx, "go", s.args()...)
	cmd.Dir = filepath.Join(root, s.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("report: %s: %w\n%s", s.command(), err, failure(out))
	}
	return d.addBenchmarks(bytes.NewReader(out))
}

// failure is what go test says of the first benchmark that failed, or, where none did,
// the end of what it printed.
func failure(out []byte) []byte {
	const much = 2000
	if i := bytes.Index(out, []byte("--- FAIL")); i >= 0 {
		return out[i:min(len(out), i+much)]
	}
	return out[max(0, len(out)-much):]
}

// addBenchmarks adds a round of results from the output of go test.
func (d *data) addBenchmarks(r io.Reader) error {
	in := benchfmt.NewReader(r, "go test")
	for in.Scan() {
		res, ok := in.Result().(*benchfmt.Result)
		if !ok {
			continue // of no interest, such as what tests log
		}
		b := d.benchmark(benchmarkName(res))
		for _, v := range res.Values {
			value, unit := v.Value, v.Unit
			if v.OrigUnit != "" {
				value, unit = v.OrigValue, v.OrigUnit
			}
			b.Values[unit] = append(b.Values[unit], value)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("report: reading benchmarks: %w", err)
	}
	return nil
}

// benchmarkName is the package's directory and the name without the number of CPUs.
func benchmarkName(res *benchfmt.Result) string {
	base, parts := res.Name.Parts()
	name := string(base)
	for _, p := range parts {
		if p[0] == '/' {
			name += string(p)
		}
	}
	return strings.TrimPrefix(res.GetConfig("pkg"), module) + "." + name
}

// benchmark returns the one of that name, a new one if there is none.
func (d *data) benchmark(name string) *benchmark {
	for i := range d.Benchmarks {
		if d.Benchmarks[i].Name == name {
			return &d.Benchmarks[i]
		}
	}
	d.Benchmarks = append(d.Benchmarks, benchmark{Name: name, Values: map[string][]float64{}})
	return &d.Benchmarks[len(d.Benchmarks)-1]
}
