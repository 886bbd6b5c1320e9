// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// The same question has the same answer while every CPU is busy and Go stops the world
// again and again.
func TestDeterministic(t *testing.T) {
	g := opened(t, OpenGRO)
	n := 2000
	if testing.Short() {
		n = 400
	}
	var stop atomic.Bool
	defer stop.Store(true)
	for range runtime.NumCPU() {
		go func() {
			for !stop.Load() {
				for range 1000 {
					_ = make([]byte, 1000)
				}
				runtime.GC()
			}
		}()
	}
	burst := segments(64, nil)
	start := time.Now()
	for i := range n {
		for at := range burst { // so that no answer is that of the burst before
			binary.BigEndian.PutUint16(burst[at][6:], uint16(0x200)|uint16(i&0xff))
		}
		got, err := g.Merge(burst)
		if err != nil || len(got) != 1 || got[0].Packets() != 64 || !bytes.Equal(got[0].Data[:14], burst[0][:14]) {
			t.Fatalf("burst %d became %d frames, %v", i, len(got), err)
		}
	}
	t.Logf("%d bursts of 64 in %v, %d asked again", n, time.Since(start), g.Retries())
}
