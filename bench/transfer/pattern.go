// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"encoding/binary"
	"sync"
)

const (
	// blockSize is what a Write is given, as much as iperf3 does: the stack makes
	// super-packets of what one call brings.
	blockSize = 128 << 10
	// stampEvery bounds how long a stretch can be that carries no absolute
	// position.
	stampEvery = 1 << 10
)

// noise is two blocks of pseudo-random bytes, the same in every process.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 2*blockSize)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], mix(uint64(i)))
	}
	return b
})

// pattern generates the data of one flow, a block at a time. A block is a piece of
// the noise that begins at a place chosen by the block's number, with a stamp of
// its absolute position in every KiB: little more than a copy, so that generating
// does not dominate what is measured. Not safe for concurrent use.
type pattern struct {
	seed    uint64
	current int64 // the block's number, or -1
	block   [blockSize]byte
}

func newPattern(seed uint64, flow int) *pattern {
	return &pattern{seed: mix(seed ^ mix(uint64(flow)+1)), current: -1}
}

// at returns block n. It is valid until the next call.
func (p *pattern) at(n int64) []byte {
	if n == p.current {
		return p.block[:]
	}
	h := mix(p.seed + uint64(n))
	copy(p.block[:], noise()[h%blockSize:])
	for i := 0; i < blockSize; i += stampEvery {
		binary.LittleEndian.PutUint64(p.block[i:], h+uint64(i))
	}
	p.current = n
	return p.block[:]
}

// check compares got with the data at position pos. It returns the offset in got
// of the first wrong byte and what belongs there, or -1.
func (p *pattern) check(pos int64, got []byte) (offset int, want byte) {
	for done := 0; done < len(got); {
		at := pos + int64(done)
		expect := p.at(at / blockSize)[at%blockSize:]
		piece := got[done:min(len(got), done+len(expect))]
		if !bytes.Equal(piece, expect[:len(piece)]) {
			for i := range piece {
				if piece[i] != expect[i] {
					return done + i, expect[i]
				}
			}
		}
		done += len(piece)
	}
	return -1, 0
}

// mix is the finaliser of splitmix64: one multiplication chain, every bit of the
// input in every bit of the output.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
