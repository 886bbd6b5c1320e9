// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"sync"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/outbound"
	"github.com/netstack-offload/netstack-offload/segment"
)

// Stats are an Endpoint's counts since New. Packets that pass straight through
// (a loopback link, DisableCoalescing over DeliverNetworkPacket, and
// DisableSegmentation) are not counted.
type Stats struct {
	// Received counts the packets and frames that came from the lower link,
	// Delivered those handed to the stack after merging, and Merged those of
	// Delivered that were merged from several.
	Received, Delivered, Merged uint64
	// Alone counts packets that there was nothing at hand to merge with, so
	// that nobody looked at them. Verdicts counts the others of Received, but
	// for those dropped, by coalesce.Verdict: it says why they did not merge.
	Alone    uint64
	Verdicts [coalesce.NumVerdicts]uint64
	// DroppedDetached counts packets that came, or waited, while no stack was
	// attached, DroppedQueueFull those for which a worker made no room.
	DroppedDetached, DroppedQueueFull uint64

	// Split counts outbound packets that were split, Segments the packets that
	// they became, Finished those that needed no splitting but a checksum.
	Split, Segments, Finished uint64
	// Outbound packets that had to be dropped: larger than the MTU and not
	// TCP, with headers that contradict themselves, with an MTU too small for
	// their headers, with a wrong checksum that splitting would have hidden.
	DroppedNotTCP, DroppedMalformed, DroppedMTU, DroppedChecksum uint64

	// NoNIC tells that the dispatcher attached now is not a NIC, so that
	// nobody can say where packets end and nothing is merged: a sniffer or
	// another wrapper stands between, or the NIC is a bridge port.
	NoNIC bool
}

// inboundCounts is what one batch adds.
type inboundCounts struct {
	packets, delivered, mergedInto, droppedDetached uint64
	verdicts                                        [coalesce.NumVerdicts]uint64
}

// counters guards Stats. It is taken once a batch, not once a packet.
type counters struct {
	mu sync.Mutex
	s  Stats
}

// Stats returns a snapshot.
func (e *Endpoint) Stats() Stats {
	e.stats.mu.Lock()
	s := e.stats.s
	e.stats.mu.Unlock()
	if a := e.current.Load(); a != nil {
		s.NoNIC = a.target.Load().nic == nil
	}
	return s
}

func (c *counters) addInbound(in *inboundCounts) {
	if in.packets == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Received += in.packets
	c.s.Delivered += in.delivered
	c.s.Merged += in.mergedInto
	c.s.DroppedDetached += in.droppedDetached
	for v, n := range in.verdicts {
		if n > 0 {
			c.s.Verdicts[v] += n
		}
	}
}

func (c *counters) addAlone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Received++
	c.s.Delivered++
	c.s.Alone++
}

// add changes one or more counts.
func (c *counters) add(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.s)
}

func (c *counters) dropDetached(n int) {
	c.add(func(s *Stats) {
		s.Received += uint64(n)
		s.DroppedDetached += uint64(n)
	})
}

func (c *counters) dropQueueFull() {
	c.add(func(s *Stats) {
		s.Received++
		s.DroppedQueueFull++
	})
}

func (c *counters) addSplit(segments int) {
	c.add(func(s *Stats) {
		switch segments {
		case 0:
		case 1:
			s.Finished++
		default:
			s.Split++
			s.Segments += uint64(segments)
		}
	})
}

func (c *counters) dropOutbound(err error) {
	c.add(func(s *Stats) {
		switch {
		case errors.Is(err, segment.ErrNotSegmentable):
			s.DroppedNotTCP++
		case errors.Is(err, segment.ErrMTU):
			s.DroppedMTU++
		case errors.Is(err, outbound.ErrChecksum):
			s.DroppedChecksum++
		default:
			s.DroppedMalformed++
		}
	})
}
