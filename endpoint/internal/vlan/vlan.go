// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package vlan says where the IP header of a frame begins that may have a VLAN
// tag. netstack knows of no tags: to it the protocol is that of the tag, and the
// link header ends before it.
package vlan

import "gvisor.dev/gvisor/pkg/tcpip"

const (
	// EtherType is that of a tag (IEEE 802.1Q).
	EtherType = 0x8100
	// TagLen is the length of a tag in bytes, the EtherType behind it
	// included.
	TagLen = 4
)

// NetworkOffset is where the IP header begins of a packet with a link header of n
// bytes: behind the tag, if protocol says that there is one.
func NetworkOffset(protocol tcpip.NetworkProtocolNumber, n int) int {
	if protocol == EtherType {
		return n + TagLen
	}
	return n
}
