// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/peers"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/wgnet"
)

// What goes into a tunnel comes out of it, byte by byte, whatever is inside.
func TestTransfer(t *testing.T) {
	for _, c := range []struct {
		flows, mtu int
		vouched    bool
	}{
		{flows: 1},
		{flows: 8},
		{flows: 2, mtu: 1280},
		{flows: 2, mtu: 9000},
		{flows: 2, vouched: true},
	} {
		for _, ends := range [][2]netip.Addr{{a4, b4}, {a6, b6}} {
			t.Run(fmt.Sprintf("flows=%d,mtu=%d,vouched=%v,to=%v", c.flows, c.mtu, c.vouched, ends[1]), func(t *testing.T) {
				a, b := newPair(t, &wgnet.Config{MTU: c.mtu, RXChecksumOffload: c.vouched})
				nodeA, nodeB := &peers.Node{Net: a, Address: ends[0]}, &peers.Node{Net: b, Address: ends[1]}
				const total = 4 << 20
				cfg := &transfer.Config{Flows: c.flows, Bytes: total / int64(c.flows), Stall: leak.Limit}
				for _, way := range [][2]*peers.Node{{nodeA, nodeB}, {nodeB, nodeA}} {
					r, err := transfer.Between(t.Context(), way[0], way[1], cfg)
					if err != nil || r.Bytes != total {
						t.Fatalf("%d bytes, %v", r.Bytes, err)
					}
				}
			})
		}
	}
}

// The stack sends in super-packets and receives in merged ones: what all this is
// for.
func TestPacketsAreLarge(t *testing.T) {
	leak.Check(t)
	devA, netA := newDevice(t, &wgnet.Config{Addrs: []netip.Addr{a4}})
	devB, netB := newDevice(t, &wgnet.Config{Addrs: []netip.Addr{b4}})
	p, err := peers.Join(devA, devB)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	nodeA, nodeB := &peers.Node{Net: netA, Address: a4}, &peers.Node{Net: netB, Address: b4}
	if _, err := transfer.Between(t.Context(), nodeA, nodeB, &transfer.Config{Bytes: 16 << 20, Stall: leak.Limit}); err != nil {
		t.Fatal(err)
	}
	tx, rx := devA.Stack().Stats().NICs.Tx, devB.Stack().Stats().NICs.Rx
	sent, got := tx.Bytes.Value()/tx.Packets.Value(), rx.Bytes.Value()/rx.Packets.Value()
	if sent < 5000 || got < 5000 {
		t.Errorf("sent in packets of %d bytes, received in %d: want super-packets", sent, got)
	}
}
