// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
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
	// Delivered those handed to the stack after merging and splitting, and
	// Merged those of Delivered that were merged from several.
	Received, Delivered, Merged uint64
	// Alone counts packets that there was nothing at hand to merge with, so
	// that nobody looked at them. Verdicts counts the others of Received by
	// coalesce.Verdict, which says why they did not merge, but for those that
	// were dropped before that: DroppedDetached and DroppedQueueFull.
	Alone    uint64
	Verdicts [coalesce.NumVerdicts]uint64
	// DroppedDetached counts packets that came, or waited, while no stack was
	// attached, and merged ones that were caught damaged when they had to be
	// split because their NIC had joined a bridge. DroppedQueueFull counts those
	// for which a worker made no room.
	DroppedDetached, DroppedQueueFull uint64
	// SplitInbound counts super-packets of the host that were split on their
	// way up, because they do not end here or are of UDP, and SegmentsInbound
	// the packets that they became. DroppedUDP counts UDP super-packets that
	// could not be split: malformed, or with a wrong checksum. DroppedSegments
	// counts super-packets that would have become more packets than one that
	// Linux makes: 128 datagrams, or 8191 segments.
	SplitInbound, SegmentsInbound, DroppedUDP, DroppedSegments uint64

	// Split counts outbound packets that were split, Segments the packets that
	// they became, Finished those that needed no splitting but a checksum.
	Split, Segments, Finished uint64
	// Outbound packets that had to be dropped: larger than the MTU and not
	// TCP, with headers that contradict themselves, with an MTU too small for
	// their headers, with a wrong checksum that splitting would have hidden.
	DroppedNotTCP, DroppedMalformed, DroppedMTU, DroppedChecksum uint64

	// NoNIC tells that the dispatcher attached now is not a NIC, so that
	// nobody can say where packets end, and nothing is merged unless
	// Config.EndsHere says so: a sniffer or another wrapper stands between, or
	// the NIC is a bridge port. Dispatcher then is the dispatcher's type, which
	// tells which, as "*sniffer.Endpoint" or "*stack.bridgePort".
	NoNIC      bool
	Dispatcher string
	// Forwards tells that the stack forwards TCP by this link: what comes back
	// is looked up before it is merged, even if it has an address of the NIC.
	Forwards bool
	// ForwardsMerged tells that Config.ForwardMerged has an effect: it is set,
	// and gVisor keeps GSOOptions while it forwards.
	ForwardsMerged bool
}

// inboundCounts is what one batch adds.
type inboundCounts struct {
	packets, alone, delivered, mergedInto uint64
	split, segments                       uint64
	droppedDetached                       uint64
	droppedUDP, droppedSegments           uint64
	verdicts                              [coalesce.NumVerdicts]uint64
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
		if t := a.target.Load(); t.nic == nil {
			s.NoNIC, s.Dispatcher = true, fmt.Sprintf("%T", t.NetworkDispatcher)
		}
	}
	s.Forwards = e.forwarded.inUse()
	s.ForwardsMerged = e.cfg.ForwardMerged && keepsGSO()
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
	c.s.Alone += in.alone
	c.s.SplitInbound += in.split
	c.s.SegmentsInbound += in.segments
	c.s.DroppedDetached += in.droppedDetached
	c.s.DroppedUDP += in.droppedUDP
	c.s.DroppedSegments += in.droppedSegments
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
