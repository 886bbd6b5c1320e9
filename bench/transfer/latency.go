// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// RoundTrips sends one byte over conn, waits for its echo, and begins again, for a
// time, once at least. It returns how long each round trip took, sorted. conn stays the caller's.
func RoundTrips(ctx context.Context, conn net.Conn, d time.Duration) ([]time.Duration, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var trips []time.Duration
	b := []byte{0}
	for end := time.Now().Add(d); len(trips) == 0 || time.Now().Before(end); {
		start := time.Now()
		if _, err := conn.Write(b); err != nil {
			return nil, tripError(ctx, err)
		}
		want := b[0]
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil, tripError(ctx, err)
		}
		trips = append(trips, time.Since(start))
		if b[0] != want {
			return nil, fmt.Errorf("transfer: the echo of %#02x was %#02x", want, b[0])
		}
		b[0]++
	}
	slices.Sort(trips)
	return trips, nil
}

func tripError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("transfer: round trip: %w", err)
}

// Echo accepts one connection on ln and sends back what comes, until the other end
// closes it. A done ctx ends it, and closes ln.
func Echo(ctx context.Context, ln net.Listener) error {
	conn, err := accept(ctx, ln)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// Without conn's own ReadFrom: splicing adds system calls to every byte.
	_, err = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
	return err
}
