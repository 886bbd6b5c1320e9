// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// BenchmarkSegment splits super-packets of 45 segments, payload copied.
func BenchmarkSegment(b *testing.B) {
	tcp := func(v6 bool, n int) []byte { p := super(v6, n); p.Partial = true; return p.Bytes() }
	udp := func(v6 bool, n int) []byte {
		return packettest.UDP{IP: packettest.IP{V6: v6}, Payload: packettest.Stream(0, n), Partial: true}.Bytes()
	}
	for _, bb := range []struct {
		name string
		make func(v6 bool, n int) []byte
		v6   bool
		size int
	}{
		{"tcp4/bulk", tcp, false, 1448},
		{"tcp6/bulk", tcp, true, 1428},
		{"udp4/bulk", udp, false, 1448},
		{"udp6/bulk", udp, true, 1428},
	} {
		b.Run(bb.name, func(b *testing.B) {
			pkt := bb.make(bb.v6, 45*bb.size)
			var s segment.Splitter
			buf := make([]byte, 1500)
			o := segment.Options{SegmentSize: bb.size, MTU: 1500, Partial: true}
			b.SetBytes(int64(45 * bb.size))
			b.ReportAllocs()
			for b.Loop() {
				if err := splitInto(&s, buf, pkt, o); err != nil || s.Segments() != 45 {
					b.Fatal(err, s.Segments())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/45, "ns/segment")
		})
	}
}
