// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet_test

import (
	"net/netip"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/peers"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/wgnet"
)

func TestMain(m *testing.M) { leak.Main(m) }

var (
	a4, b4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	a6, b6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
)

func newDevice(t testing.TB, cfg *wgnet.Config) (*wgnet.Device, *wgnet.Net) {
	t.Helper()
	d, n, err := wgnet.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leak.Within(t, "closing a device", func() { d.Close() }) })
	return d, n
}

// newPair is two netstacks with both kinds of addresses, joined by WireGuard.
func newPair(t testing.TB, cfg *wgnet.Config) (a, b *wgnet.Net) {
	t.Helper()
	leak.Check(t)
	cfgA, cfgB := *cfg, *cfg
	cfgA.Addrs, cfgB.Addrs = []netip.Addr{a4, a6}, []netip.Addr{b4, b6}
	devA, a := newDevice(t, &cfgA)
	devB, b := newDevice(t, &cfgB)
	p, err := peers.Join(devA, devB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leak.Within(t, "closing the peers", p.Close) })
	return a, b
}
