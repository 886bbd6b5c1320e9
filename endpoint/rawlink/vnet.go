// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
)

// vnetHdr is struct virtio_net_hdr of linux/virtio_net.h (virtio 1.2, 5.1.6), in
// the host's byte order.
type vnetHdr struct {
	flags, gsoType        uint8
	hdrLen, gsoSize       uint16
	csumStart, csumOffset uint16
}

const (
	vnetHdrLen    = 10
	vnetHdrLenMax = 12 // with num_buffers, which has no meaning here

	flagNeedsCsum = 1
	flagDataValid = 2

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoTCPv6 = 4
	gsoUDP   = 5
	gsoECN   = 0x80
)

func (h *vnetHdr) decode(b []byte) {
	_ = b[vnetHdrLen-1]
	h.flags, h.gsoType = b[0], b[1]
	h.hdrLen = binary.NativeEndian.Uint16(b[2:])
	h.gsoSize = binary.NativeEndian.Uint16(b[4:])
	h.csumStart = binary.NativeEndian.Uint16(b[6:])
	h.csumOffset = binary.NativeEndian.Uint16(b[8:])
}

// encode writes the header to b, which may be longer: the rest is cleared.
func (h *vnetHdr) encode(b []byte) {
	clear(b[vnetHdrLen:])
	b[0], b[1] = h.flags, h.gsoType
	binary.NativeEndian.PutUint16(b[2:], h.hdrLen)
	binary.NativeEndian.PutUint16(b[4:], h.gsoSize)
	binary.NativeEndian.PutUint16(b[6:], h.csumStart)
	binary.NativeEndian.PutUint16(b[8:], h.csumOffset)
}

// label notes in f, whose other fields are set, what the header says of it. It
// returns false where header and frame contradict each other or the header says
// what nobody asked for: the frame must then be dropped, as Linux does
// (include/linux/virtio_net.h, __virtio_net_hdr_to_skb). A UDP super-packet is
// one with a GSOSize but no GSOType.
func (h *vnetHdr) label(f *endpoint.Frame) bool {
	if *h == (vnetHdr{}) {
		return true
	}
	if int(h.hdrLen) > len(f.Data) {
		return false
	}
	switch {
	case h.flags&flagNeedsCsum != 0:
		if !h.placesChecksum(f) {
			return false
		}
		f.Checksum = endpoint.ChecksumPartial
		f.ChecksumStart, f.ChecksumOffset = h.csumStart, h.csumOffset
	case h.flags&flagDataValid != 0:
		f.Checksum = endpoint.ChecksumVerified
	}
	switch h.gsoType &^ gsoECN {
	case gsoNone:
		return h.gsoType == gsoNone
	case gsoTCPv4:
		f.GSOType = stack.GSOTCPv4
		return h.superOf(f, 4, header.TCPProtocolNumber)
	case gsoTCPv6:
		f.GSOType = stack.GSOTCPv6
		return h.superOf(f, 6, header.TCPProtocolNumber)
	case gsoUDP:
		return h.flags&flagNeedsCsum != 0 && h.gsoType == gsoUDP &&
			h.superOf(f, ipVersion(f), header.UDPProtocolNumber)
	}
	return false
}

// placesChecksum reports whether the checksum lies in the frame, behind the
// smallest IP header.
func (h *vnetHdr) placesChecksum(f *endpoint.Frame) bool {
	return int(h.csumStart) >= f.LinkHdrLen+header.IPv4MinimumSize &&
		int(h.csumStart)+int(h.csumOffset)+2 <= len(f.Data)
}

// superOf reports whether f can be a super-packet of that IP version and
// protocol, and notes its segment size.
func (h *vnetHdr) superOf(f *endpoint.Frame, version int, protocol tcpip.TransportProtocolNumber) bool {
	if h.gsoSize == 0 || ipVersion(f) != version {
		return false
	}
	f.GSOSize = h.gsoSize
	ip := f.Data[vlan.NetworkOffset(f.Protocol, f.LinkHdrLen):]
	switch version {
	case 4:
		return len(ip) >= header.IPv4MinimumSize && header.IPv4(ip).TransportProtocol() == protocol
	case 6: // which extension headers there are is for others to find out
		return len(ip) >= header.IPv6MinimumSize
	}
	return false
}

// ipVersion is what the first byte behind the link header says, -1 if there is
// none.
func ipVersion(f *endpoint.Frame) int {
	if ip := f.Data[min(vlan.NetworkOffset(f.Protocol, f.LinkHdrLen), len(f.Data)):]; len(ip) > 0 {
		return int(ip[0] >> 4)
	}
	return -1
}
