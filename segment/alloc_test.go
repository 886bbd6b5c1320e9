// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// splitInto splits pkt, writing every segment to buf.
func splitInto(s *segment.Splitter, buf, pkt []byte, o segment.Options) error {
	if err := s.Init(pkt, len(pkt), o); err != nil {
		return err
	}
	for i := range s.Segments() {
		off, n := s.Payload(i)
		part := buf[s.HeaderLen() : s.HeaderLen()+n]
		copy(part, pkt[s.HeaderLen()+off:])
		s.PutHeader(buf, i, checksum.Checksum(part, 0))
	}
	return nil
}

// TestAllocs: splitting allocates nothing.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ext := super(true, 10000)
	ext.IP.Ext = []packettest.Ext{packettest.HopByHop(1)}
	for _, tt := range []struct {
		name string
		pkt  []byte
		o    segment.Options
	}{
		{"IPv4", super(false, 60000).Bytes(), segment.Options{SegmentSize: 1448, MTU: 1500}},
		{"IPv6", super(true, 60000).Bytes(), segment.Options{SegmentSize: 1428, MTU: 1500}},
		{"IPv6 with extension headers", ext.Bytes(), segment.Options{MTU: 1500}},
		{"pure ACK", super(false, 0).Bytes(), segment.Options{MTU: 1500, Partial: true}},
		{"as it is", super(false, 100).Bytes(), segment.Options{MTU: 1500}},
		{"UDP", superUDP(false, 60000).Bytes(), segment.Options{SegmentSize: 1400, MTU: 1500}},
		{"UDP over IPv6, partial", superUDP(true, 60000).Bytes(), segment.Options{SegmentSize: 1400, MTU: 1500, Partial: true}},
		{"error", packettest.UDP{Payload: make([]byte, 2000)}.Bytes(), segment.Options{MTU: 1500}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s segment.Splitter
			buf := make([]byte, 2000)
			if n := testing.AllocsPerRun(20, func() { _ = splitInto(&s, buf, tt.pkt, tt.o) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
