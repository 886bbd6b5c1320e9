// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// A reader that shares its processor with somebody who computes does not yield to them
// after every batch, but ever more rarely, and again as before when they are gone.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop, ran atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			ran.Store(true)
		}
	}()
	var r reader
	for want := minStay; want <= 4*minStay; want *= 2 {
		ran.Store(false)
		r.yield()
		if !ran.Load() || r.stays != want {
			t.Fatalf("others ran: %v; no other yield for %d batches, want %d", ran.Load(), r.stays, want)
		}
		for range want {
			r.yield()
		}
	}
	stop.Store(true)
	<-done
	for range 2 * maxStay { // where the machine is busy, not at once
		if r.yield(); r.stay == 0 {
			return
		}
	}
	t.Errorf("nobody else is there, and there is no yield for %d batches", r.stays)
}
