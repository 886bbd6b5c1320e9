// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package sum

import "golang.org/x/sys/cpu"

// blockSize is what the smallest step of blocks takes, worthwhile is from how many
// bytes on vectors pay.
const (
	blockSize  = 32
	worthwhile = 256
)

var haveAVX2 = cpu.X86.HasAVX2

// vector returns the sum of the first n bytes of b as little-endian words of 32
// bits; n is a multiple of blockSize, and 0 where it does not pay or work.
func vector(b []byte) (sum uint64, n int) {
	if len(b) < worthwhile || !haveAVX2 {
		return 0, 0
	}
	n = len(b) &^ (blockSize - 1)
	return blocks(&b[0], n), n
}

// copyVector is vector of src, and copies those n bytes to dst.
func copyVector(dst, src []byte) (sum uint64, n int) {
	if len(src) < worthwhile || !haveAVX2 {
		return 0, 0
	}
	n = len(src) &^ (blockSize - 1)
	return copyBlocks(&dst[0], &src[0], n), n
}

// blocks returns the sum of the n bytes at p, n > 0 and a multiple of blockSize.
//
//go:noescape
func blocks(p *byte, n int) uint64

// copyBlocks returns the sum of the n bytes at src, and copies them to dst.
//
//go:noescape
func copyBlocks(dst, src *byte, n int) uint64
