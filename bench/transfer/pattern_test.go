// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"testing"
)

// stretch is n bytes of the data from position pos on.
func stretch(p pattern, pos, n int64) []byte {
	var out []byte
	for int64(len(out)) < n {
		at := pos + int64(len(out))
		out = append(out, p.at(at / blockSize)[at%blockSize:]...)
	}
	return out[:n]
}

func TestPatternIsTheSameAtBothEnds(t *testing.T) {
	sent := stretch(newPattern(7, 3), 0, 5*blockSize+17)
	p := newPattern(7, 3)
	for pos, step := int64(0), int64(1); pos < int64(len(sent)); step = step*3 + 1 {
		piece := sent[pos:min(pos+step, int64(len(sent)))]
		if i, _ := p.check(pos, piece); i >= 0 {
			t.Fatalf("byte %d of a piece at %d is called wrong", i, pos)
		}
		pos += int64(len(piece))
	}
}

func TestPatternDependsOnEverything(t *testing.T) {
	const n = 4 * blockSize
	here := stretch(newPattern(7, 3), 0, n)
	for name, other := range map[string]pattern{
		"another seed":              newPattern(8, 3),
		"another flow":              newPattern(7, 2),
		"seed and flow differ by 1": newPattern(6, 4),
	} {
		if bytes.Equal(here[:16], stretch(other, 0, 16)) {
			t.Errorf("%s: the data begins alike", name)
		}
	}
	p := newPattern(7, 3)
	for _, shift := range []int64{1, 7, 8, 1000, 1024, 1448, blockSize - 1, blockSize, 2 * blockSize, 1 << 30} {
		if i, _ := p.check(shift, here[:1448]); i < 0 {
			t.Errorf("1448 bytes moved by %d are called right", shift)
		}
	}
}

func TestCheckFindsEveryByte(t *testing.T) {
	p := newPattern(1, 0)
	const pos = blockSize - 700
	good := stretch(p, pos, 1400) // across the border of two blocks
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if at, want := p.check(pos, bad); at != i || want != good[i] {
			t.Fatalf("byte %d is wrong; check said %d, %#02x", i, at, want)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	p := newPattern(1, 0)
	got := bytes.Clone(p.at(0))
	b.SetBytes(blockSize)
	for b.Loop() {
		if i, _ := p.check(0, got); i >= 0 {
			b.Fatal("wrong")
		}
	}
}
