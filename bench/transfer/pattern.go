// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// blockSize is what a Write is given, as much as iperf3 does: the stack makes
// super-packets of what one call brings.
const blockSize = 128 << 10

// noise is two blocks of pseudo-random bytes, the same in every process.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 2*blockSize)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], mix(uint64(i)))
	}
	return b
})

// pattern is the data of one flow. A block is a piece of the noise that begins at a byte
// chosen by the block's number, so that making it costs nothing, and checking it a
// comparison with what is in the cache: the benchmark's own work must not be what is
// measured. Data that has moved is taken for right if it has by whole blocks, and these
// begin at the same byte, one pair in 131072. Safe for concurrent use.
type pattern struct {
	seed uint64
}

func newPattern(seed uint64, flow int) pattern {
	return pattern{seed: mix(seed ^ mix(uint64(flow)+1))}
}

// at returns block n, which is not to be written to.
func (p pattern) at(n int64) []byte {
	from := mix(p.seed+uint64(n)) % blockSize
	return noise()[from:][:blockSize:blockSize]
}

// check compares got with the data at position pos. It returns the offset in got
// of the first wrong byte and what belongs there, or -1.
func (p pattern) check(pos int64, got []byte) (offset int, want byte) {
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
