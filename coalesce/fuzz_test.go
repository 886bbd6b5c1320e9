// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package coalesce_test

import (
	"math/rand/v2"
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// FuzzCoalesce compares the package with the slow coalescer on bursts that
// packettest.ParseBurst reads: identical runs, identical bytes, no panic.
func FuzzCoalesce(f *testing.F) {
	for _, s := range packettest.BurstSeeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := packettest.ParseBurst(data)
		compare(t, table(b), b)
	})
}

// TestRandomBursts does what FuzzCoalesce does, with bursts that are the same in
// every run, and wants each verdict to have been met.
func TestRandomBursts(t *testing.T) {
	const bursts = 4000
	rng := rand.New(rand.NewPCG(1, 2))
	var met [coalesce.NumVerdicts]int
	joined := 0
	for range bursts {
		data := packettest.RandomBurst(rng)
		b := packettest.ParseBurst(data)
		c := compare(t, table(b), b)
		joined += c.joined
		for v, n := range c.counts() {
			met[v] += n
		}
		if t.Failed() {
			t.Fatalf("burst %x", data)
		}
	}
	for v, n := range met {
		if n == 0 {
			t.Errorf("verdict %v was never given", coalesce.Verdict(v))
		}
	}
	t.Logf("%d packets joined; by verdict: %v", joined, met)
}

// TestTableReuse runs bursts through one Table: what one batch leaves behind
// must not show in the next.
func TestTableReuse(t *testing.T) {
	const bursts = 1000
	rng := rand.New(rand.NewPCG(3, 4))
	reused := coalesce.New(&coalesce.Config{MaxPackets: 32, UDP: true})
	for range bursts {
		b := packettest.ParseBurst(packettest.RandomBurst(rng))
		b.MaxPackets, b.Refuse, b.UDP = 32, 0, true
		compare(t, reused, b)
	}
}
