// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"fmt"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// benchSuper is a super-packet to split.
type benchSuper struct {
	udp, v6 bool
	// partial leaves the checksum to the Splitter, as netstack's TCP does; a
	// complete one has to be verified before the packet is split.
	partial  bool
	mtu      int // and size of all segments
	segments int
}

var benchKinds = []struct {
	name    string
	udp, v6 bool
}{{"tcp4", false, false}, {"tcp6", false, true}, {"udp4", true, false}, {"udp6", true, true}}

// segmentSize is the payload of a segment.
func (s *benchSuper) segmentSize() int {
	n := s.mtu - 20
	if s.v6 {
		n -= 20
	}
	if s.udp {
		return n - 8
	}
	return n - 20 - len(s.options())
}

// options are timestamps, where they leave room for payload.
func (s *benchSuper) options() []byte {
	if s.mtu < 128 {
		return nil
	}
	return packettest.Timestamp(1, 2)
}

func (s *benchSuper) bytes() []byte {
	ip := packettest.IP{V6: s.v6, ID: 7}
	payload := packettest.Stream(0, s.segments*s.segmentSize())
	if s.udp {
		return packettest.UDP{IP: ip, Payload: payload, Partial: s.partial}.Bytes()
	}
	return packettest.TCP{IP: ip, Window: 512, Options: s.options(), Payload: payload, Partial: s.partial}.Bytes()
}

// bench splits the super-packet, payload copied, again and again.
func (s *benchSuper) bench(b *testing.B) {
	pkt, buf := s.bytes(), make([]byte, s.mtu)
	o := segment.Options{SegmentSize: s.segmentSize(), MTU: s.mtu, Partial: s.partial}
	var splitter segment.Splitter
	b.SetBytes(int64(s.segments * s.segmentSize()))
	b.ReportAllocs()
	for b.Loop() {
		if !s.partial && !verified(&splitter, pkt, o) {
			b.Fatal("wrong checksum")
		}
		if err := splitInto(&splitter, buf, pkt, o); err != nil || splitter.Segments() != s.leave() {
			b.Fatal(err, splitter.Segments())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.segments), "ns/segment")
}

// leave is what Segments says: a packet that fits and is complete leaves as it is.
func (s *benchSuper) leave() int {
	if s.segments == 1 && !s.partial {
		return 0
	}
	return s.segments
}

func verified(s *segment.Splitter, pkt []byte, o segment.Options) bool {
	if err := s.Init(pkt, len(pkt), o); err != nil {
		return false
	}
	return s.Segments() == 0 || s.ChecksumOK(checksum.Checksum(pkt[s.HeaderLen():], 0))
}

func sumName(partial bool) string {
	if partial {
		return "partial"
	}
	return "complete"
}

// BenchmarkSegment splits super-packets of 1 to 43 segments of 1500 bytes, payload
// copied. Their checksum is partial, and trusted, or complete, and verified.
func BenchmarkSegment(b *testing.B) {
	for _, k := range benchKinds {
		for _, segments := range []int{1, 2, 8, 43} {
			for _, partial := range []bool{true, false} {
				s := &benchSuper{k.udp, k.v6, partial, 1500, segments}
				b.Run(fmt.Sprintf("%s/bulk/segments=%d/sum=%s", k.name, segments, sumName(partial)), s.bench)
			}
		}
	}
}

// BenchmarkSize splits super-packets of almost 64 KiB into packets of 64 to 9000
// bytes, checksums partial.
func BenchmarkSize(b *testing.B) {
	for _, k := range benchKinds {
		for _, size := range []int{64, 128, 256, 512, 1024, 1500, 4096, 9000} {
			s := &benchSuper{k.udp, k.v6, true, size, 1}
			s.segments = 65000 / s.segmentSize()
			b.Run(fmt.Sprintf("%s/size=%d", k.name, size), s.bench)
		}
	}
}
