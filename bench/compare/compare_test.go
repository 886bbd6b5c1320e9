// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	quiet() // a warning in the middle of a benchmark's line makes it unreadable
	os.Exit(m.Run())
}

// BenchmarkCompare runs each side of each comparison by itself, for profiles; an
// operation is one run. To compare the sides, run the command, which interleaves
// them.
func BenchmarkCompare(b *testing.B) {
	s := &settings{duration: 300 * time.Millisecond, flows: 1}
	for _, c := range comparisons() {
		for _, side := range c.sides {
			b.Run(c.name+"/"+strings.ReplaceAll(side.name, " ", "-"), func(b *testing.B) {
				sums := make([]float64, len(c.figures))
				for range b.N {
					figures, err := side.measure(s)
					if err != nil {
						b.Fatal(err)
					}
					for i, f := range figures {
						sums[i] += f
					}
				}
				b.ReportMetric(0, "ns/op")
				for i, f := range c.figures {
					b.ReportMetric(sums[i]/float64(b.N), strings.ReplaceAll(f, " ", "-"))
				}
			})
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, s := range []settings{
		{rounds: 0, duration: time.Second, flows: 1, cases: "latency"},
		{rounds: 1, duration: 0, flows: 1, cases: "latency"},
		{rounds: 1, duration: time.Second, flows: 0, cases: "latency"},
		{rounds: 1, duration: time.Second, flows: 1, cases: "speed"},
	} {
		if err := run(&s); err == nil || !strings.HasPrefix(err.Error(), "compare: ") {
			t.Errorf("%+v: error %v, want one that begins with compare:", s, err)
		}
	}
}
