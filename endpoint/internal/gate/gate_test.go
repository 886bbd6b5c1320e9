// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"sync"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// waiting starts a producer with that patience and returns its result when it
// comes, once it waits.
func waiting(t *testing.T, g *Gate, mu *sync.Mutex, patience time.Duration) <-chan bool {
	t.Helper()
	result := make(chan bool, 1)
	go func() {
		mu.Lock()
		defer mu.Unlock()
		result <- g.Wait(mu, patience)
	}()
	leak.Until(t, "a producer that waits", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return g.room != nil || len(result) > 0
	})
	return result
}

// Open wakes all who wait, and the next ones wait again.
func TestOpen(t *testing.T) {
	var g Gate
	var mu sync.Mutex
	for range 3 {
		a, b := waiting(t, &g, &mu, time.Hour), waiting(t, &g, &mu, time.Hour)
		leak.Until(t, "both to wait", func() bool { return len(leak.Goroutines("gate.(*Gate).Wait")) == 2 })
		mu.Lock()
		g.Open()
		mu.Unlock()
		if !leak.Done(t, "Wait", a) || !leak.Done(t, "Wait", b) {
			t.Error("opened, but Wait returned false")
		}
	}
	mu.Lock()
	g.Open() // with nobody there
	mu.Unlock()
}

// Without progress patience ends; one who comes later has patience of his own.
func TestNoProgress(t *testing.T) {
	var g Gate
	var mu sync.Mutex
	g.Progress() // before: does not count
	for range 3 {
		if leak.Done(t, "Wait", waiting(t, &g, &mu, time.Millisecond)) {
			t.Error("Wait returned true though nobody opened")
		}
	}
}

// As long as there is progress Wait goes on. Should the machine stand still for
// longer than patience, it ends with every right: so it is tried several times.
func TestProgress(t *testing.T) {
	for range 10 {
		var g Gate
		var mu sync.Mutex
		result := waiting(t, &g, &mu, 20*time.Millisecond)
		for range 40 {
			time.Sleep(2 * time.Millisecond)
			g.Progress()
		}
		mu.Lock()
		g.Open()
		mu.Unlock()
		if leak.Done(t, "Wait", result) {
			return
		}
	}
	t.Error("Wait gave up in spite of progress")
}
