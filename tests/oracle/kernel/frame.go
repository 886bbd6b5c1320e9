// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

// GSO types of Frame.GSOType, as in struct virtio_net_hdr (linux/virtio_net.h).
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOTCPv6 = 4
	GSOUDP   = 5 // VIRTIO_NET_HDR_GSO_UDP_L4, for IPv4 and IPv6
)

// A Frame is one frame that the kernel handed over, or is to be handed.
type Frame struct {
	// Data begins with the Ethernet header, an 802.1Q tag in its place.
	Data []byte
	// GSOType is one of the GSO constants. ECN says that the first segment only
	// carries CWR (SKB_GSO_TCP_ECN).
	GSOType uint8
	ECN     bool
	GSOSize int
	// NeedsCsum: the checksum field holds the pseudo-header's sum only. CsumStart and
	// CsumOffset, both counted in Data, say what is to be summed and where it goes:
	// the field is at CsumStart+CsumOffset. They are 0 without.
	NeedsCsum             bool
	CsumStart, CsumOffset int
}

// HeaderLen is how long all headers of a frame with a GSO type are, 0 if they are cut
// off or the frame has no type.
func (f *Frame) HeaderLen() int {
	n := 0
	switch f.GSOType {
	case GSOTCPv4, GSOTCPv6:
		if f.CsumStart+12 < len(f.Data) {
			n = f.CsumStart + int(f.Data[f.CsumStart+12]>>4)*4
		}
	case GSOUDP:
		n = f.CsumStart + 8
	}
	if n > len(f.Data) {
		return 0
	}
	return n
}

// Packets is how many packets of a wire the frame stands for.
func (f *Frame) Packets() int {
	header := f.HeaderLen()
	if header == 0 || f.GSOSize <= 0 || header == len(f.Data) {
		return 1
	}
	return (len(f.Data) - header + f.GSOSize - 1) / f.GSOSize
}
