// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"testing"

	"github.com/netstack-offload/netstack-offload/segment"
)

// BenchmarkSegment splits super-packets of 45 segments, payload copied.
func BenchmarkSegment(b *testing.B) {
	for _, bb := range []struct {
		name string
		v6   bool
		size int
	}{
		{"tcp4/bulk", false, 1448},
		{"tcp6/bulk", true, 1428},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := super(bb.v6, 45*bb.size)
			p.Partial = true
			pkt := p.Bytes()
			var s segment.Splitter
			buf := make([]byte, 1500)
			o := segment.Options{SegmentSize: bb.size, MTU: 1500, Partial: true}
			b.SetBytes(int64(len(p.Payload)))
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
