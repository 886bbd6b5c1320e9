// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package inbound

import (
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/coalesce/sum"
)

// FinishChecksum does in head, a copy of the first bytes of data or all of it, what
// data's sender left to a device: it puts the checksum of data from start on offset
// bytes further. A place outside head is left alone: the checksum stays
// wrong, for whoever verifies it.
func FinishChecksum(head, data []byte, start, offset int) {
	if start+offset+checksum.Size > len(head) {
		return
	}
	c := ^sum.Bytes(data[start:], 0)
	if c == 0 {
		c = 0xffff // RFC 768: zero means none; in TCP both say the same
	}
	checksum.Put(head[start+offset:], c)
}
