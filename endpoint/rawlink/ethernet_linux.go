// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// LinkAddress implements stack.LinkEndpoint.
func (l *Link) LinkAddress() tcpip.LinkAddress {
	if !l.cfg.Ethernet {
		return ""
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], l.address.Load())
	return tcpip.LinkAddress(b[2:])
}

// SetLinkAddress implements stack.LinkEndpoint. It does not change the device's.
// An address that has not 6 bytes is ignored.
func (l *Link) SetLinkAddress(address tcpip.LinkAddress) {
	if len(address) == header.EthernetAddressSize {
		l.address.Store(macOf([]byte(address)))
	}
}

// macOf is a MAC address as a number.
func macOf(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

// broadcast is the address of all stations, as macOf has it.
const broadcast = 1<<48 - 1

// forUs reports whether a frame with that destination is for this station: its
// own address, or a group's (RFC 9542, section 2.1).
func (l *Link) forUs(dst []byte) bool {
	return dst[0]&1 != 0 || macOf(dst) == l.address.Load()
}

// ARPHardwareType implements stack.LinkEndpoint.
func (l *Link) ARPHardwareType() header.ARPHardwareType {
	if l.cfg.Ethernet {
		return header.ARPHardwareEther
	}
	return header.ARPHardwareNone
}

// AddHeader implements stack.LinkEndpoint.
func (l *Link) AddHeader(pkt *stack.PacketBuffer) {
	if !l.cfg.Ethernet {
		return
	}
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.LinkEndpoint.
func (l *Link) ParseHeader(pkt *stack.PacketBuffer) bool {
	if !l.cfg.Ethernet {
		return true
	}
	hdr, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	if ok {
		pkt.NetworkProtocolNumber = header.Ethernet(hdr).Type()
	}
	return ok
}
