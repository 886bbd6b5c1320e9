// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// ChecksumState says what is known of a frame's transport checksum.
type ChecksumState uint8

const (
	// ChecksumNone: nothing. The zero value.
	ChecksumNone ChecksumState = iota
	// ChecksumVerified: the link has verified it and found it right.
	ChecksumVerified
	// ChecksumPartial: the field holds the sum of the pseudo-header only; the
	// frame came from a sender that left the rest to its device
	// (VIRTIO_NET_HDR_F_NEEDS_CSUM). It is finished on the way up.
	ChecksumPartial
)

// Frame is one received packet, borrowed for the duration of DeliverFrames.
type Frame struct {
	// Data begins with the link header. It must not change while borrowed.
	Data []byte
	// View, if not nil, holds Data and nothing else. DeliverFrames may keep it
	// in place of a copy, and then sets View to nil; the bytes may change from
	// then on. Otherwise it stays the caller's. A packet of tens of KiB is
	// worth one, a smaller one is copied for less than a view costs.
	View *buffer.View
	// Protocol is the network protocol, the EtherType where there is one.
	Protocol tcpip.NetworkProtocolNumber
	// LinkHdrLen is the length of the link header: 14 for Ethernet, VLAN tag
	// or not, 0 for bare IP.
	LinkHdrLen int
	// PktType says for whom it is; zero, tcpip.PacketHost, is this station, or
	// not known. ARP takes an answer for one only if it has that type.
	PktType tcpip.PacketType
	// GSOType and GSOSize describe a super-packet made by the host: its type
	// and segment size. One of UDP has a GSOSize and GSONone, for want of a
	// type; it is split on the way up. One of TCP is passed up whole if it ends
	// in the stack, and is otherwise split: at GSOSize or, where that is 0 or
	// nothing but the length of Data tells, at the link's MTU. Zero for a packet
	// as on the wire.
	GSOType stack.GSOType
	GSOSize uint16
	// Checksum is what is known of the transport checksum. If it is partial,
	// the checksum covers Data from ChecksumStart on, and belongs
	// ChecksumOffset bytes further (virtio 1.2, 5.1.6.2).
	Checksum                      ChecksumState
	ChecksumStart, ChecksumOffset uint16
}

// FrameDispatcher is what a link that knows its batches looks for in the
// dispatcher it is given at every Attach. *Endpoint is one.
type FrameDispatcher interface {
	stack.NetworkDispatcher
	// DeliverFrames takes one batch of frames in the order of their arrival.
	// All are delivered, or dropped and counted, on return. It may be called
	// concurrently; the frames of a flow must then come from one caller at a
	// time. The caller must not hold a lock that WritePackets of the same
	// link takes.
	DeliverFrames(frames []Frame)
}
