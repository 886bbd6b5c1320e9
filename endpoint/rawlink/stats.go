// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import "sync/atomic"

// Stats are a Link's counts since New, all queues together.
type Stats struct {
	// Received counts frames read, dropped ones included, Delivered those handed
	// up, after super-packets were split if there is no endpoint. Batches counts
	// what was read at once, Waits how often there was nothing to read.
	Received, Delivered, Batches, Waits uint64
	// Super counts super-packets received, Split those of them that were split:
	// none under an endpoint, which counts what it splits itself.
	Super, Split uint64
	// Frames read and dropped: shorter than their headers, larger than the MTU
	// allows, for another station (unless Config.Promiscuous), neither IPv4 nor
	// IPv6 (on a link without Ethernet), with a virtio_net_hdr that contradicts
	// them or makes more packets of them than Linux does, or, to be split here, a
	// wrong checksum, and those that met no stack.
	DroppedRunt, DroppedOversize, DroppedForeign, DroppedNotIP, DroppedVnetHdr, DroppedNoStack uint64

	// Sent counts frames written, SentSuper the super-packets among them,
	// Writes the system calls.
	Sent, SentSuper, Writes uint64
	// Frames of the stack that were dropped: for want of room, in time, in the
	// kernel or at the peer; refused by the kernel for another reason, as by a
	// device that is down; and packets that exceed the MTU and cannot be split,
	// or that were sent while no stack was attached.
	DroppedFull, DroppedRefused, DroppedUnsplittable, DroppedDetached uint64
}

// counters are Stats being counted. They are added to once a batch.
type counters struct {
	received, delivered, batches, waits, super, split   atomic.Uint64
	runt, oversize, foreign, notIP, badVnetHdr, noStack atomic.Uint64
	sent, sentSuper, writes                             atomic.Uint64
	full, refused, unsplittable, detached               atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Received:            c.received.Load(),
		Delivered:           c.delivered.Load(),
		Batches:             c.batches.Load(),
		Waits:               c.waits.Load(),
		Super:               c.super.Load(),
		Split:               c.split.Load(),
		DroppedRunt:         c.runt.Load(),
		DroppedOversize:     c.oversize.Load(),
		DroppedForeign:      c.foreign.Load(),
		DroppedNotIP:        c.notIP.Load(),
		DroppedVnetHdr:      c.badVnetHdr.Load(),
		DroppedNoStack:      c.noStack.Load(),
		Sent:                c.sent.Load(),
		SentSuper:           c.sentSuper.Load(),
		Writes:              c.writes.Load(),
		DroppedFull:         c.full.Load(),
		DroppedRefused:      c.refused.Load(),
		DroppedUnsplittable: c.unsplittable.Load(),
		DroppedDetached:     c.detached.Load(),
	}
}
