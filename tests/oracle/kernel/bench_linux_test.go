// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"testing"
)

func BenchmarkMerge(b *testing.B) {
	g := opened(b, OpenGRO)
	for _, n := range []int{1, 8, 64} {
		burst := segments(n, nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := g.Merge(burst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkThrough(b *testing.B) {
	r := opened(b, OpenResplit)
	for _, n := range []int{1, 8, 64} {
		burst := segments(n, nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Through(burst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	g := opened(b, OpenGSO)
	for _, n := range []int{1, 8, 64} {
		f := super(n*size, nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := g.Split(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
