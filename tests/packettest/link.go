// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

// Ethertypes, and what Frame.Protocol may be.
const (
	ProtocolIPv4 = 0x0800
	ProtocolIPv6 = 0x86dd
	ProtocolVLAN = 0x8100
)

// Link is how a packet is framed. The zero value is bare IP.
type Link struct {
	// Ethernet puts an Ethernet header in front.
	Ethernet bool
	// Src and Dst, if not zero, replace the stations' addresses.
	Src, Dst [6]byte
	// VLAN is the tag control information of an 802.1Q tag; 0 means no tag.
	VLAN uint16
	// Pad is the length up to which zeros are appended to the frame.
	Pad int
	// Trailing is appended to the frame before padding.
	Trailing []byte
}

// Frame is a packet as a link receives it.
type Frame struct {
	// Data begins with the link header.
	Data []byte
	// LinkHdrLen is 14 for Ethernet, tagged or not, and 0 for bare IP.
	LinkHdrLen int
	// Protocol is that of the link header: ProtocolVLAN for a tagged frame.
	Protocol uint16
}

// NetOffset is where the IP header begins: behind the tag of a tagged frame.
func (f Frame) NetOffset() int {
	if f.Protocol == ProtocolVLAN {
		return f.LinkHdrLen + 4
	}
	return f.LinkHdrLen
}

// IP is the IP packet of a well-formed frame, without padding or whatever else
// trails it.
func (f Frame) IP() []byte {
	ip := f.Data[f.NetOffset():]
	n := int(get16(ip[2:]))
	if ip[0]>>4 == 6 {
		n = 40 + int(get16(ip[4:]))
	}
	return ip[:n]
}

// Wrap frames an IP packet.
func (l Link) Wrap(ip []byte) Frame {
	f := Frame{Protocol: ProtocolIPv4}
	if len(ip) > 0 && ip[0]>>4 == 6 {
		f.Protocol = ProtocolIPv6
	}
	if l.Ethernet {
		f.LinkHdrLen = 14
		f.Data = l.header(&f)
	}
	f.Data = append(f.Data, ip...)
	f.Data = append(f.Data, l.Trailing...)
	for len(f.Data) < l.Pad {
		f.Data = append(f.Data, 0)
	}
	return f
}

func (l Link) header(f *Frame) []byte {
	src, dst := l.Src, l.Dst
	if src == [6]byte{} {
		src = [6]byte{2, 0, 0, 0, 0, 1}
	}
	if dst == [6]byte{} {
		dst = [6]byte{2, 0, 0, 0, 0, 2}
	}
	h := append(append([]byte{}, dst[:]...), src[:]...)
	if l.VLAN != 0 {
		h = append(h, 0x81, 0x00, byte(l.VLAN>>8), byte(l.VLAN))
	}
	h = append(h, byte(f.Protocol>>8), byte(f.Protocol))
	if l.VLAN != 0 {
		f.Protocol = ProtocolVLAN
	}
	return h
}
