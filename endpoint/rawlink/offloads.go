// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import "strings"

// Offloads are what a descriptor may carry beyond plain packets, the flags of
// TUNSETOFFLOAD (linux/if_tun.h, TUN_F_).
type Offloads uint32

const (
	// OffloadChecksum: packets whose checksum is left to be finished.
	OffloadChecksum Offloads = 1
	// OffloadTSO4 and OffloadTSO6: TCP super-packets. OffloadTSOECN: also such
	// as carry CWR.
	OffloadTSO4   Offloads = 2
	OffloadTSO6   Offloads = 4
	OffloadTSOECN Offloads = 8
	// OffloadUSO4 and OffloadUSO6: UDP super-packets (since Linux 6.2). The
	// endpoint splits them before the stack sees them.
	OffloadUSO4 Offloads = 0x20
	OffloadUSO6 Offloads = 0x40
)

// ladder is what is asked for, from the richest on. USO4 and USO6 go together.
var ladder = []Offloads{
	OffloadChecksum | OffloadTSO4 | OffloadTSO6 | OffloadTSOECN | OffloadUSO4 | OffloadUSO6,
	OffloadChecksum | OffloadTSO4 | OffloadTSO6 | OffloadUSO4 | OffloadUSO6,
	OffloadChecksum | OffloadTSO4 | OffloadTSO6 | OffloadTSOECN,
	OffloadChecksum | OffloadTSO4 | OffloadTSO6,
	OffloadChecksum | OffloadTSO4,
	OffloadChecksum,
}

// String lists the offloads, as "CSUM TSO4 TSO6".
func (o Offloads) String() string {
	var names []string
	for _, n := range []struct {
		flag Offloads
		name string
	}{
		{OffloadChecksum, "CSUM"}, {OffloadTSO4, "TSO4"}, {OffloadTSO6, "TSO6"},
		{OffloadTSOECN, "TSO_ECN"}, {OffloadUSO4, "USO4"}, {OffloadUSO6, "USO6"},
	} {
		if o&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}
