// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import "encoding/binary"

const (
	// vnetHdrLen is the length of a struct virtio_net_hdr: flags, GSO type, header
	// length, GSO size, checksum start and offset, the last four of 16 bits in the
	// host's order.
	vnetHdrLen = 10

	flagNeedsCsum = 1
	gsoECN        = 0x80
)

// setVnetHdr takes over what a virtio_net_hdr says about Data, in which a tag of
// tagLen bytes has been put back since.
func (f *Frame) setVnetHdr(b []byte, tagLen int) {
	f.GSOType, f.ECN = b[1]&^gsoECN, b[1]&gsoECN != 0
	f.GSOSize = int(binary.NativeEndian.Uint16(b[4:]))
	if f.NeedsCsum = b[0]&flagNeedsCsum != 0; f.NeedsCsum {
		f.CsumStart = tagLen + int(binary.NativeEndian.Uint16(b[6:]))
		f.CsumOffset = int(binary.NativeEndian.Uint16(b[8:]))
	}
}

// vnetHdr is the virtio_net_hdr that says what f says.
func (f *Frame) vnetHdr() (b [vnetHdrLen]byte) {
	b[1] = f.GSOType
	if f.ECN {
		b[1] |= gsoECN
	}
	binary.NativeEndian.PutUint16(b[2:], uint16(f.HeaderLen()))
	binary.NativeEndian.PutUint16(b[4:], uint16(f.GSOSize))
	if f.NeedsCsum {
		b[0] = flagNeedsCsum
		binary.NativeEndian.PutUint16(b[6:], uint16(f.CsumStart))
		binary.NativeEndian.PutUint16(b[8:], uint16(f.CsumOffset))
	}
	return b
}
