// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestRoundTrips(t *testing.T) {
	k := &Kernel{Address: netip.MustParseAddr("127.0.0.1")}
	ln, err := k.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	echo := make(chan error, 1)
	go func() { echo <- Echo(t.Context(), ln) }()
	conn, err := k.Dial(t.Context(), netip.MustParseAddrPort(ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	trips, err := RoundTrips(t.Context(), conn, 20*time.Millisecond)
	if err != nil || len(trips) == 0 || !slices.IsSorted(trips) || trips[0] <= 0 {
		t.Errorf("got %v, %v", trips, err)
	}
	conn.Close()
	if err := <-echo; err != nil {
		t.Errorf("the echo: %v", err)
	}
}

// Nobody echoes: the context ends both halves.
func TestRoundTripsEnd(t *testing.T) {
	k := &Kernel{Address: netip.MustParseAddr("127.0.0.1")}
	ln, err := k.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := k.Dial(t.Context(), netip.MustParseAddrPort(ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(10*time.Millisecond, func() { cancel(enough) })
	if _, err := RoundTrips(ctx, conn, time.Minute); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	other, err := k.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := Echo(ctx, other); !errors.Is(err, enough) {
		t.Errorf("the echo: %v", err)
	}
}
