// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package gate lets the producers of a full queue wait for room, as long as its
// consumer makes progress.
package gate

import (
	"sync"
	"sync/atomic"
	"time"
)

// Gate is where producers wait. The zero value is ready for use. Its methods are
// safe for concurrent use under the locking that each demands.
type Gate struct {
	room     chan struct{} // closed to wake all; nil if nobody waits
	progress atomic.Uint64
}

// Wait waits until Open is called, and returns false if the consumer made no
// Progress for as long as patience. It is called with mu held, which guards the
// queue and the Gate, gives it up while it waits, and returns with it held: the
// caller has to look at the queue anew.
func (g *Gate) Wait(mu *sync.Mutex, patience time.Duration) bool {
	if g.room == nil {
		g.room = make(chan struct{})
	}
	room, before := g.room, g.progress.Load()
	mu.Unlock()
	defer mu.Lock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-room:
			return true
		case <-timer.C:
		}
		now := g.progress.Load()
		if now == before {
			return false
		}
		before = now
		timer.Reset(patience)
	}
}

// Open wakes all who wait. It is called with the queue's lock held.
func (g *Gate) Open() {
	if g.room != nil {
		close(g.room)
		g.room = nil
	}
}

// Progress tells those who wait that the consumer is alive. It needs no lock.
func (g *Gate) Progress() { g.progress.Add(1) }
