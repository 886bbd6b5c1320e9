// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
	"github.com/netstack-offload/netstack-offload/endpoint"
)

// finishChecksum does in data, a copy of f, what f's sender left to a device.
// label has seen to it that the place lies within.
func finishChecksum(data []byte, f *endpoint.Frame) {
	start := int(f.ChecksumStart)
	c := ^sum.Bytes(data[start:], 0)
	if c == 0 {
		c = 0xffff // RFC 768: zero means none; in TCP both say the same
	}
	checksum.Put(data[start+int(f.ChecksumOffset):], c)
}
