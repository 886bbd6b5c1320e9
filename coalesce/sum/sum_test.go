// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package sum

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// slow is RFC 1071, section 4.1, word by word.
func slow(b []byte, initial uint16) uint16 {
	sum := uint64(initial)
	for i, x := range b {
		sum += uint64(x) << (8 * (1 - i&1))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func check(t *testing.T, b []byte, initial uint16) {
	t.Helper()
	got := Bytes(b, initial)
	if want := slow(b, initial); got != want {
		t.Errorf("%d bytes, initial %#04x: got %#04x, want %#04x", len(b), initial, got, want)
	}
	if want := checksum.Checksum(b, initial); got != want {
		t.Errorf("%d bytes, initial %#04x: got %#04x, gVisor has %#04x", len(b), initial, got, want)
	}

	dst := bytes.Repeat([]byte{0xa5}, len(b)+1)
	if got, want := Copy(dst, b), slow(b, 0); got != want {
		t.Errorf("copying %d bytes: got %#04x, want %#04x", len(b), got, want)
	}
	if !bytes.Equal(dst[:len(b)], b) || dst[len(b)] != 0xa5 {
		t.Errorf("copying %d bytes: not what was to be copied, or more", len(b))
	}
}

// TestLengths takes every length up to several blocks, from every offset in a
// word of the vector unit: sums of zeros, of ones that carry everywhere, and of
// one byte that is not zero.
func TestLengths(t *testing.T) {
	ones := bytes.Repeat([]byte{0xff}, 700)
	zeros := make([]byte, 700)
	for n := range 520 {
		for _, off := range []int{0, 1, 2, 7, 31} {
			check(t, ones[off:off+n], 0)
			check(t, ones[off:off+n], 0xffff)
			check(t, zeros[off:off+n], 0)
			if n > 0 {
				zeros[off+n-1] = 0x81
				check(t, zeros[off:off+n], 0)
				zeros[off+n-1] = 0
			}
		}
	}
}

func TestLarge(t *testing.T) {
	check(t, bytes.Repeat([]byte{0xff}, 65483), 0xfffe)
	check(t, bytes.Repeat([]byte{0xff, 0xfe, 0x01}, 1<<20), 1)
}

func TestRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		b := make([]byte, rng.IntN(3000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		check(t, b[rng.IntN(len(b)/2+1):], uint16(rng.Uint32()))
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte(nil), uint16(0))
	f.Add(bytes.Repeat([]byte{0xff}, 257), uint16(0xffff)) // blocks, rest, odd end, carries
	f.Fuzz(func(t *testing.T, b []byte, initial uint16) { check(t, b, initial) })
}

func TestNothingIsAllocated(t *testing.T) {
	b := make([]byte, 1448)
	dst := make([]byte, len(b))
	if n := testing.AllocsPerRun(100, func() { Bytes(b, 0); Copy(dst, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBytes(b *testing.B) {
	for _, n := range []int{20, 128, 256, 512, 1448, 65160} {
		buf := make([]byte, n)
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for range b.N {
				Bytes(buf, 0)
			}
		})
		dst := make([]byte, n)
		b.Run(fmt.Sprintf("copy/size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for range b.N {
				Copy(dst, buf)
			}
		})
		b.Run(fmt.Sprintf("gvisor/size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for range b.N {
				checksum.Checksum(buf, 0)
			}
		})
	}
}
