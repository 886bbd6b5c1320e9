// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// TestMain plays the roles of a Lab's processes: there the program that starts itself
// again is the test.
func TestMain(m *testing.M) {
	if code, ok := PlayRole(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// testRun is a short stream.
func testRun(link string) *Run {
	return &Run{
		Link: link, Kind: result.Stream, Direction: result.Receive, MTU: 1500,
		Transfer: transfer.Config{Flows: 1, Duration: 50 * time.Millisecond, Stall: 5 * time.Second, Limit: 30 * time.Second, Seed: 1},
	}
}

// checkSample wants all columns of a sample that netstack had a part in.
func checkSample(t *testing.T, r *Run, s result.Sample) {
	t.Helper()
	if r.Kind == result.Latency {
		rtt := s.RTT
		if rtt.Count == 0 || rtt.P50 <= 0 || rtt.P90 < rtt.P50 || rtt.P99 < rtt.P90 || rtt.Max < rtt.P99 {
			t.Errorf("got %+v", rtt)
		}
		return
	}
	// What the system does not tell is -1.
	if s.Gbps <= 0 || s.CPUPerGB == 0 || s.Packets == 0 || s.MeanBytes <= 0 {
		t.Errorf("got %+v", s)
	}
	if delivers := r.Direction != result.Send; delivers != (s.PerDelivery > 0.5) || s.PerDelivery > 50 {
		t.Errorf("%v packets of the wire for each delivered", s.PerDelivery)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	for _, m := range MemoryModes {
		for _, kind := range []string{result.Stream, result.Latency} {
			r := testRun("")
			r.Mode, r.Kind, r.Direction, r.IPv6 = m, kind, result.Both, true
			s, err := Memory(t.Context(), r)
			if err != nil {
				t.Fatalf("%s, %s: %v", m.Name, kind, err)
			}
			checkSample(t, r, s)
		}
	}
}

func TestRoundTripPercentiles(t *testing.T) {
	var trips []time.Duration
	for i := range 101 {
		trips = append(trips, time.Duration(i))
	}
	if got, want := roundTrips(trips).RTT, (result.RTT{Count: 101, P50: 50, P90: 90, P99: 99, Max: 100}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := roundTrips(nil); got != (result.Sample{}) {
		t.Errorf("of no round trips: %+v", got)
	}
}

// lossy loses everything after its first hundred packets.
type lossy struct {
	*channel.Endpoint
	n atomic.Int64
}

func (l *lossy) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	if l.n.Add(int64(pkts.Len())) > 100 {
		return pkts.Len(), nil
	}
	return l.Endpoint.WritePackets(pkts)
}

func TestStallIsAnError(t *testing.T) {
	a, b := channel.New(channelQueue, 1500, ""), channel.New(channelQueue, 1500, "")
	r := testRun("")
	r.Transfer.Duration, r.Transfer.Stall = time.Minute, 200*time.Millisecond
	if _, err := memory(t.Context(), r, pair{a, &lossy{Endpoint: b}, transfer.JoinChannels(a, b)}); !errors.Is(err, transfer.ErrStalled) {
		t.Fatalf("got %v", err)
	}
}
