// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/outbound"
)

// WritePackets implements stack.LinkWriter. It hands the lower link the packets
// in order, each as it is, or split so that it fits, or with its checksum
// finished. The packets stay the caller's.
//
// It returns how many packets of the list were taken: one that was split counts
// once all of it was, one that had to be dropped (see Stats) counts as taken.
func (e *Endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		if pkt.NetworkPacketInfo.IsForwardedPacket {
			e.noteForwarded(pkt)
		}
	}
	if !e.segments() {
		return e.Endpoint.WritePackets(pkts)
	}
	lower := e.lowerLink()
	for _, pkt := range pkts.AsSlice() {
		if !lower.takes(pkt) {
			w := writers.Get().(*writer)
			defer writers.Put(w)
			return w.write(e, lower, pkts.AsSlice())
		}
	}
	return e.Endpoint.WritePackets(pkts)
}

// lowerLink is what has to be known of the link below to hand it packets.
type lowerLink struct {
	outbound.Link
	splits bool // takes TCP super-packets
}

func (e *Endpoint) lowerLink() lowerLink {
	return lowerLink{
		Link:   outbound.Link{MTU: e.MTU(), Ethernet: e.ARPHardwareType() == header.ARPHardwareEther},
		splits: e.lowerGSO != nil && e.lowerGSO.SupportedGSO() == stack.HostGSOSupported,
	}
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// writer is one call of WritePackets that has something to split.
type writer struct {
	cut  outbound.Packet
	down stack.PacketBufferList // what the lower link gets; holds references
	ends []int                  // for each packet of the list, where its part of down ends
}

// takes reports whether pkt can go down as it is: it is no larger than the link
// allows and its checksum is final, or the link does the rest itself.
func (l *lowerLink) takes(pkt *stack.PacketBuffer) bool {
	gso := &pkt.GSOOptions
	link, network := len(pkt.LinkHeader().Slice()), len(pkt.NetworkHeader().Slice())
	if link == 0 && l.Ethernet && pkt.NetworkProtocolNumber == 0 {
		link = header.EthernetMinimumSize // a bridge's frame, not parsed
	}
	fits := pkt.Size()-link <= int(l.MTU)
	switch {
	case gso.Type == stack.GSONone:
		return fits
	case !l.splits || gso.Type == stack.GSOGvisor:
		return fits && !gso.NeedsCsum
	case !gso.NeedsCsum:
		// Forwarded merged, with its checksum done: a device expects a partial
		// one on what it splits.
		return fits && pkt.Data().Size() <= int(gso.MSS)
	case int(gso.L3HdrLen) != network:
		return false // the link would look for the checksum in the wrong place
	}
	// A segment size that the device would refuse, or exceed the link with,
	// is put right here.
	headers := network + len(pkt.TransportHeader().Slice())
	usable := gso.MSS > 0 && headers+int(gso.MSS) <= int(l.MTU)
	return usable || fits && pkt.Data().Size() == 0
}

func (w *writer) write(e *Endpoint, lower lowerLink, list []*stack.PacketBuffer) (int, tcpip.Error) {
	defer w.reset()
	for _, pkt := range list {
		if lower.takes(pkt) {
			w.down.PushBack(pkt.IncRef())
		} else if err := w.cut.Init(pkt, lower.Link); err != nil {
			e.stats.dropOutbound(err)
		} else {
			w.split(pkt)
			e.stats.addSplit(w.cut.Segments())
		}
		w.ends = append(w.ends, w.down.Len())
	}
	if w.down.Len() == 0 {
		return len(list), nil
	}
	n, err := e.Endpoint.WritePackets(w.down)
	taken := 0
	for taken < len(list) && w.ends[taken] <= n {
		taken++
	}
	return taken, err
}

func (w *writer) split(pkt *stack.PacketBuffer) {
	n := w.cut.Segments()
	if n == 0 || n == 1 && w.cut.Finish() {
		w.down.PushBack(pkt.IncRef())
		return
	}
	for range n {
		w.down.PushBack(w.cut.Share())
	}
}

func (w *writer) reset() {
	w.down.Reset()
	w.cut.Drop()
	w.ends = w.ends[:0]
}
