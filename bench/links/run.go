// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"net/netip"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// Run is one measurement.
type Run struct {
	Link string // a key of Links; Memory takes no notice
	Mode Mode
	Kind string // result.Stream or result.Latency
	// Direction is result.Receive or result.Send of a stream, as netstack sees it.
	Direction string
	// Proxy has two stacks, or the kernel twice, at the ends of a veth pair, each
	// with a proxy, and iperf3 at both.
	Proxy bool
	MTU   int
	IPv6  bool
	// Steady measures the rate of what arrives in time (transfer.Result.InTime), as
	// iperf3 does, not of all.
	Steady bool
	// Buffer is the size of netstack's socket buffers, as in transfer.HostConfig.
	Buffer int
	// Transfer says what to move, or how long to send bytes to and fro.
	Transfer transfer.Config
}

// Addresses are those of the two ends of a run: the kernel's (or the first stack's)
// and netstack's. They are private, and exist only inside it.
func (r *Run) Addresses() []netip.Addr {
	if r.IPv6 {
		return []netip.Addr{netip.MustParseAddr("fd00:99::1"), netip.MustParseAddr("fd00:99::2")}
	}
	return []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")}
}

// limit is how long the run may take, as package transfer has it.
func (r *Run) limit() time.Duration {
	if r.Transfer.Limit > 0 {
		return r.Transfer.Limit
	}
	return r.Transfer.Duration + time.Minute
}

// segment is how much payload a packet of the MTU has, with TCP timestamps.
func (r *Run) segment() int {
	if r.IPv6 {
		return r.MTU - 40 - 20 - 12
	}
	return r.MTU - 20 - 20 - 12
}

// UnavailableError says why a link cannot be had here.
type UnavailableError struct{ Reason string }

func (e *UnavailableError) Error() string { return e.Reason }

// A clock is the CPU time used so far, by this process and by the machine.
type clock struct {
	process, machine time.Duration
	known            bool
	machineKnown     bool
}

func now() clock {
	var c clock
	c.process, c.known = transfer.CPUTime()
	c.machine, c.machineKnown = machineCPU()
	return c
}

// rate sets the rate of a stream, and what it has cost since start.
func (r *Run) rate(s *result.Sample, got transfer.Result, start clock) {
	end := now()
	s.Gbps, s.CPUPerGB, s.MachinePerGB = got.Gbps(), -1, -1
	if r.Steady {
		s.Gbps = got.Steady(&r.Transfer).Gbps()
	}
	if start.known {
		s.CPUPerGB = got.PerGB(end.process - start.process)
	}
	if start.machineKnown {
		s.MachinePerGB = got.PerGB(end.machine - start.machine)
	}
}

// count sets the columns about packets. delivered tells that netstack received them.
func (r *Run) count(s *result.Sample, c transfer.Counts, bytes int64, delivered bool) {
	s.Packets, s.MeanBytes = c.Packets, c.MeanBytes()
	if delivered && c.Packets > 0 {
		s.PerDelivery = float64(bytes) / float64(r.segment()) / float64(c.Packets)
	}
}

// roundTrips is a sample of latency.
func roundTrips(sorted []time.Duration) result.Sample {
	n := len(sorted)
	if n == 0 {
		return result.Sample{}
	}
	at := func(percent int) time.Duration { return sorted[(n-1)*percent/100] }
	return result.Sample{RTT: result.RTT{Count: n, P50: at(50), P90: at(90), P99: at(99), Max: sorted[n-1]}}
}

// closeHost reports a stack that does not stop, unless there is a worse error.
func closeHost(h *transfer.Host, err *error) {
	if closeErr := h.Close(); *err == nil {
		*err = closeErr
	}
}

// hostResent is how many TCP segments a host has sent again.
func hostResent(h *transfer.Host) uint64 { return h.Stack().Stats().TCP.Retransmits.Value() }
