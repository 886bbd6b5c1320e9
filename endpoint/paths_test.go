// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// cuts are ways in which links spread packets over views.
var cuts = map[string]cut{
	"one":     whole,
	"headers": {54, 0}, // headers and payload
	"fdbased": {128, 256, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768},
	"20":      {20, 0}, // the first view ends within the headers
	"tiny":    {20, 20, 3, 1, 50, 7, 0},
	"1":       {1},
	"117":     {117, 0}, // just too little to hold all headers
	"118":     {118, 0},
	"link":    {14, 0},
}

// Both ways in give the same packets in the same order, whatever the views.
func TestPathsAgree(t *testing.T) {
	for name, tcp := range kinds {
		segments, _ := flow(tcp, 20, 1300)
		for cutName, c := range cuts {
			t.Run(name+"/"+cutName, func(t *testing.T) {
				r := newRig(t, nil, nil)
				want := r.frames(segments...)
				if len(want) != 1 {
					t.Fatalf("%d packets of frames, want 1", len(want))
				}
				// Queued packets are copied once batches merge.
				for range 3 {
					samePackets(t, r.packets(c, segments...), want)
				}
			})
		}
	}
}

func TestPathsAgreeOnRandomBursts(t *testing.T) {
	r := newRig(t, nil, nil)
	r.nic.promiscuous.Store(true)
	all := []cut{{128, 256, 256, 512, 1024, 2048, 4096}, {20, 0}, {54, 1000}, {118, 0}, {90, 30, 0}, {1, 0}, {600, 0}, whole}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		burst := packettest.ParseBurst(packettest.RandomBurst(rng))
		var batch []packettest.Frame
		for _, a := range burst.Arrivals {
			batch = append(batch, a.Frame)
		}
		c := all[seed%uint64(len(all))]
		want := r.frames(batch...)
		if t.Run(fmt.Sprint(seed), func(t *testing.T) { samePackets(t, r.packets(c, batch...), want) }); t.Failed() {
			return
		}
	}
	if s := r.e.Stats(); s.Merged < 100 {
		t.Errorf("only %d merged packets: the bursts prove little", s.Merged)
	}
}

func samePackets(t *testing.T, got, want []delivery) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if d := packettest.Diff(got[i].Frame, want[i].Frame); d != "" {
			t.Fatalf("packet %d: %s", i, d)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
}
