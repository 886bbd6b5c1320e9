// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkCompare runs each side of each case by itself; an operation is one run. To
// compare the sides run the command, which interleaves them.
func BenchmarkCompare(b *testing.B) {
	for _, c := range []struct {
		name  string
		flows int
	}{{"device", 1}, {"tunnel", 1}, {"tunnel", 8}} {
		s := &settings{duration: 400 * time.Millisecond, flows: c.flows}
		for i := range sides {
			side := strings.ReplaceAll(strings.ReplaceAll(sides[i].name, ",", ""), " ", "-")
			b.Run(fmt.Sprintf("%s/flows=%d/%s", c.name, c.flows, side), func(b *testing.B) {
				var r result
				for range b.N {
					if err := r.measure(s, &sides[i], joins[c.name]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(r.rate.median(), "Gbit/s")
				b.ReportMetric(r.cpu.median(), "CPU-s/GB")
			})
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, s := range []settings{
		{rounds: 0, duration: time.Second, flows: 1, cases: "device"},
		{rounds: 1, duration: 0, flows: 1, cases: "device"},
		{rounds: 1, duration: time.Second, flows: 0, cases: "device"},
		{rounds: 1, duration: time.Second, flows: 1, cases: "speed"},
		{rounds: 1, duration: time.Second, flows: 1, cases: "device", sides: "("},
		{rounds: 1, duration: time.Second, flows: 1, cases: "device", sides: "none"},
	} {
		if err := run(&s); err == nil || !strings.HasPrefix(err.Error(), "compare: ") {
			t.Errorf("%+v: error %v, want one that begins with compare:", s, err)
		}
	}
}

// Every side of every case moves data, of which each byte is checked. What is left
// behind is not: wireguard-go's own device leaks references to packets.
func TestEverySide(t *testing.T) {
	for name, join := range joins {
		for i := range sides {
			t.Run(name+"/"+sides[i].name, func(t *testing.T) {
				var r result
				if err := r.measure(&settings{duration: 50 * time.Millisecond, flows: 2}, &sides[i], join); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
