// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

import "net/netip"

const (
	protoICMPv4   = 1
	protoTCP      = 6
	protoUDP      = 17
	protoICMPv6   = 58
	extHopByHop   = 0
	extRouting    = 43
	extFragment   = 44
	extDestOption = 60
	extExperiment = 253
)

// IP is an IP header. The zero value is an IPv4 header from 10.0.0.1 to
// 10.0.0.2; with V6 an IPv6 header from fd00::1 to fd00::2.
type IP struct {
	V6       bool
	Src, Dst netip.Addr
	TTL      uint8 // or hop limit; 0 means 64
	TOS      uint8 // or traffic class

	// Of IPv4 only. FragmentOffset counts units of 8 bytes.
	ID               uint16
	DF, MF, Reserved bool
	FragmentOffset   uint16
	Options          []byte // a multiple of 4 bytes
	// BadChecksum spoils the header checksum. FFFF chooses ID so that the
	// checksum is 0x0000 and stores the equally valid 0xffff.
	BadChecksum, FFFF bool

	// Of IPv6 only.
	Label uint32
	Ext   []Ext

	// LengthDelta is added to the length field, which is right without it.
	LengthDelta int
}

// Ext is an IPv6 extension header: its next header field is filled in.
type Ext struct {
	Type uint8
	Data []byte // what follows the next header field, length byte included
}

// HopByHop is a Hop-by-Hop Options header with the 6 bytes of a PadN option
// that holds v.
func HopByHop(v byte) Ext { return Ext{extHopByHop, []byte{0, 1, 4, v, v, v, v}} }

// DestinationOptions is a Destination Options header of 16 bytes that holds v.
func DestinationOptions(v byte) Ext {
	return Ext{extDestOption, []byte{1, 1, 12, v, v, v, v, v, v, v, v, v, v, v, v}}
}

// Routing is a Routing header of an experimental type (RFC 4727).
func Routing(segmentsLeft uint8) Ext {
	return Ext{extRouting, []byte{0, 253, segmentsLeft, 0, 0, 0, 0}}
}

// Experiment is an extension header of RFC 4727 that holds v.
func Experiment(v byte) Ext { return Ext{extExperiment, []byte{0, 1, 4, v, v, v, v}} }

// Fragment is a Fragment header; offset counts units of 8 bytes.
func Fragment(offset uint16, more bool, id uint32) Ext {
	b := make([]byte, 7)
	put16(b[1:], offset<<3)
	if more {
		b[2] |= 1
	}
	put32(b[3:], id)
	return Ext{extFragment, b}
}

func (ip IP) address(a netip.Addr, last byte) []byte {
	switch {
	case a.IsValid() && a.Is6() == ip.V6:
		return a.AsSlice()
	case a.IsValid():
		panic("packettest: address of another IP version")
	case ip.V6:
		return []byte{0xfd, 15: last}
	}
	return []byte{10, 0, 0, last}
}

// build returns the headers followed by l4, and where l4 begins. What checks
// l4's checksum is the caller's.
func (ip IP) build(proto uint8, l4 []byte) (pkt []byte, off int) {
	if ip.V6 {
		return ip.build6(proto, l4)
	}
	h := make([]byte, 20, 20+len(ip.Options)+len(l4))
	h = append(h, ip.Options...)
	off = len(h)
	h[0] = 4<<4 | byte(off/4)
	h[1] = ip.TOS
	put16(h[2:], uint16(off+len(l4)+ip.LengthDelta))
	put16(h[4:], ip.ID)
	put16(h[6:], ip.FragmentOffset)
	for i, set := range []bool{ip.MF, ip.DF, ip.Reserved} {
		if set {
			h[6] |= 0x20 << i
		}
	}
	h[8] = ip.ttl()
	h[9] = proto
	copy(h[12:], ip.address(ip.Src, 1))
	copy(h[16:], ip.address(ip.Dst, 2))
	if ip.FFFF {
		put16(h[4:], 0)
		put16(h[4:], Checksum(h))
		put16(h[10:], 0xffff)
	} else {
		FixIPv4(h)
	}
	if ip.BadChecksum {
		h[10] ^= 0x55
	}
	return append(h, l4...), off
}

func (ip IP) build6(proto uint8, l4 []byte) (pkt []byte, off int) {
	h := make([]byte, 40)
	put32(h, 6<<28|uint32(ip.TOS)<<20|ip.Label&0xfffff)
	h[7] = ip.ttl()
	copy(h[8:], ip.address(ip.Src, 1))
	copy(h[24:], ip.address(ip.Dst, 2))
	next := 6 // where the next header field is
	for _, e := range ip.Ext {
		h[next] = e.Type
		next = len(h)
		h = append(append(h, proto), e.Data...)
	}
	h[next] = proto
	put16(h[4:], uint16(len(h)-40+len(l4)+ip.LengthDelta))
	return append(h, l4...), len(h)
}

func (ip IP) ttl() uint8 {
	if ip.TTL == 0 {
		return 64
	}
	return ip.TTL
}

func (ip IP) headerLen() int {
	if !ip.V6 {
		return 20 + len(ip.Options)
	}
	n := 40
	for _, e := range ip.Ext {
		n += 1 + len(e.Data)
	}
	return n
}

func (ip IP) fragment() bool {
	for _, e := range ip.Ext {
		if e.Type == extFragment {
			return true
		}
	}
	return ip.MF || ip.FragmentOffset != 0
}
