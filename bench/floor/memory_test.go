// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package floor

import (
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/coalesce/sum"
)

// merged is how many packets of 1500 bytes a packet of 64 KiB holds.
const merged = 45

// perGB reports seconds per GB, for each iteration moved that many bytes.
func perGB(b *testing.B, bytes int) {
	b.SetBytes(int64(bytes))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(bytes), "s/GB")
}

// BenchmarkMemory goes over the payload of 45 packets, as they lie in a link's buffers,
// to or in one of 64 KiB: the passes that receiving makes.
func BenchmarkMemory(b *testing.B) {
	batch := traffic.Batch{Kind: traffic.TCP4, Pattern: traffic.Bulk, Flows: 1, Packets: merged}
	size := batch.Payload()
	var payloads [][]byte
	for _, f := range batch.Frames() {
		payloads = append(payloads, f[len(f)-size:])
	}
	big := make([]byte, merged*size)
	each := func(f func(dst, src []byte)) func() {
		return func() {
			for i, p := range payloads {
				f(big[i*size:(i+1)*size], p)
			}
		}
	}
	var sink uint16
	for _, pass := range []struct {
		name string
		run  func()
	}{
		{"copy", each(func(dst, src []byte) { copy(dst, src) })},
		{"sum", each(func(_, src []byte) { sink += sum.Bytes(src, 0) })},
		{"copy+sum", each(func(dst, src []byte) { sink += sum.Copy(dst, src) })},
		{"sum=gvisor", func() { sink += checksum.Checksum(big, 0) }},
		{"clear", func() { clear(big) }},
		{"view", func() { buffer.NewViewSize(len(big)).Release() }}, // cleared, from its pool
	} {
		b.Run(pass.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pass.run()
			}
			perGB(b, len(big))
		})
	}
}
