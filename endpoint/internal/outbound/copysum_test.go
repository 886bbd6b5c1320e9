// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// TestCopySum compares with gVisor's checksum over every length up to two blocks
// and some beyond, with bytes that make every carry happen too.
func TestCopySum(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	check := func(src []byte) {
		t.Helper()
		dst := bytes.Repeat([]byte{0xa5}, len(src)+1)
		got := copySum(dst[:len(src)], src)
		if want := checksum.Checksum(src, 0); got != want {
			t.Errorf("%d bytes: sum %#04x, want %#04x", len(src), got, want)
		}
		if !bytes.Equal(dst[:len(src)], src) || dst[len(src)] != 0xa5 {
			t.Errorf("%d bytes: not copied, or more than that", len(src))
		}
	}
	for n := range 200 {
		check(bytes.Repeat([]byte{0xff}, n))
		check(make([]byte, n))
	}
	for _, n := range []int{1447, 1448, 1449, 65483} {
		check(bytes.Repeat([]byte{0xff}, n))
	}
	for range 5000 {
		src := make([]byte, rng.IntN(300))
		for i := range src {
			src[i] = byte(rng.Uint32())
			if rng.IntN(3) == 0 {
				src[i] = 0xff
			}
		}
		check(src)
	}
}

func BenchmarkCopySum(b *testing.B) {
	src := make([]byte, 1448)
	dst := make([]byte, len(src))
	b.Run("together", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		for range b.N {
			copySum(dst, src)
		}
	})
	b.Run("apart", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		for range b.N {
			copy(dst, src)
			checksum.Checksum(dst, 0)
		}
	})
}
