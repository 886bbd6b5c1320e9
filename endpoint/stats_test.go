// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"math/rand/v2"
	"testing"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// verdictSum is the number of packets with a verdict, or alone in their batch, and
// of those among them that joined others.
func verdictSum(s endpoint.Stats) (n, joined uint64) {
	n = s.Alone
	for v, c := range s.Verdicts {
		n += c
		if coalesce.Verdict(v).Joined() {
			joined += c
		}
	}
	return n, joined
}

// Every packet received has one verdict or was alone; what was delivered is what was received
// but for the packets that joined others and those that were split.
func TestInboundStatsAddUp(t *testing.T) {
	r := newRig(t, nil, nil)
	var received, delivered uint64
	for seed := range uint64(50) {
		var batch []packettest.Frame
		for _, a := range packettest.ParseBurst(packettest.RandomBurst(rand.New(rand.NewPCG(seed, 2)))).Arrivals {
			batch = append(batch, a.Frame)
		}
		if seed%2 == 0 {
			delivered += uint64(len(r.frames(batch...)))
		} else {
			delivered += uint64(len(r.packets(cut{60, 0}, batch...))) + 1 // the plug
			received++
		}
		received += uint64(len(batch))
	}
	s := r.e.Stats()
	verdicts, joined := verdictSum(s)
	if s.Received != received || verdicts != received {
		t.Errorf("received %d, counted %d, with %d verdicts", received, s.Received, verdicts)
	}
	if s.Delivered != delivered || s.Delivered != s.Received-joined-s.SplitInbound+s.SegmentsInbound {
		t.Errorf("delivered %d, counted %+v, with %d joined", delivered, s, joined)
	}
	if s.Merged == 0 || s.Merged > joined || s.DroppedDetached != 0 || s.DroppedQueueFull != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestDetachedIsCounted(t *testing.T) {
	r := newRig(t, nil, nil)
	r.e.Attach(nil)
	segments, _ := flow(packettest.TCP{}, 3, 10)
	r.frames(segments...)
	r.deliver(whole, segments...)
	if s := r.e.Stats(); s.Received != 6 || s.DroppedDetached != 6 || s.Delivered != 0 {
		t.Errorf("counted %+v, want 6 dropped", s)
	}
}
