// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// watch ends the pending calls of a connection when no data moves for too long or
// the context is done. One goroutine looks from time to time; a deadline set
// before every call would be a timer made and thrown away per call.
type watch struct {
	conn  net.Conn
	stall time.Duration
	moved atomic.Int64
	// patient says that standing still is no failure for now.
	patient atomic.Bool

	done, left chan struct{}
	reason     error // written before left is closed
}

func newWatch(ctx context.Context, conn net.Conn, stall time.Duration) *watch {
	w := &watch{conn: conn, stall: stall, done: make(chan struct{}), left: make(chan struct{})}
	go w.run(ctx)
	return w
}

func (w *watch) run(ctx context.Context) {
	defer close(w.left)
	// Two looks in one stall: the error comes after 1 to 1.5 times w.stall.
	ticker := time.NewTicker(max(w.stall/2, time.Millisecond))
	defer ticker.Stop()
	seen, since := int64(-1), time.Now()
	for {
		select {
		case <-w.done:
			return
		case <-ctx.Done():
			w.end(context.Cause(ctx))
			return
		case now := <-ticker.C:
			moved := w.moved.Load()
			if moved != seen || w.patient.Load() {
				seen, since = moved, now
			} else if now.Sub(since) >= w.stall {
				w.end(fmt.Errorf("%w for %v after %d bytes", ErrStalled, w.stall, moved))
				return
			}
		}
	}
}

func (w *watch) end(reason error) {
	w.reason = reason
	w.conn.SetDeadline(time.Unix(1, 0))
}

// stop ends the watch. It returns err, or the watch's own reason where that is
// what made the call fail.
func (w *watch) stop(err error) error {
	close(w.done)
	<-w.left
	if err != nil && w.reason != nil {
		return w.reason
	}
	return err
}
