// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"strings"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// Every case is there once, and what may be compared is in one piece, with both this
// project's side and another.
func TestMatrix(t *testing.T) {
	seen := map[result.Case]bool{}
	names := map[string]bool{}
	sides := map[string]map[string]bool{}
	last := ""
	for _, c := range matrix() {
		if seen[c.Case] || names[name(&c.Case)] {
			t.Errorf("twice: %s", name(&c.Case))
		}
		seen[c.Case], names[name(&c.Case)] = true, true
		g := group(&c.Case)
		if sides[g] == nil {
			sides[g] = map[string]bool{}
		} else if g != last {
			t.Errorf("%s is in two pieces", g)
		}
		last = g
		sides[g][c.Side] = true
		r := &c.run
		if r.Kind != c.Kind || r.Direction != c.Direction || r.MTU != c.MTU || r.IPv6 != c.IPv6 || r.Transfer.Flows != c.Flows || r.Mode.Name != c.Mode {
			t.Errorf("%s runs %+v", name(&c.Case), r)
		}
	}
	for g, s := range sides {
		if !s[result.Ours] || !s[result.Peer] {
			t.Errorf("%s: %v", g, s)
		}
	}
	// The variations that issue after issue asks for.
	for _, want := range []string{
		"tun, receive, 64 flows, IPv4, MTU 1500: netstack-offload, rawlink, vnet header, checksums verified",
		"veth, send, 1 flow, IPv6, MTU 1500: fdbased, gVisor GSO, fifo, checksums verified",
		"veth vnet, receive, 1 flow, IPv4, MTU 9000: fdbased, host GSO, large buffers, checksums trusted",
		"veth, latency, 1 flow, IPv4, MTU 1500: kernel, checksums verified",
		"memory, stream, 8 flows, IPv4, MTU 1500: netstack-offload, memlink, checksums verified",
		"proxy, stream, 1 flow, IPv4, MTU 1500: fdbased, fifo, checksums trusted",
	} {
		if !names[want] {
			t.Errorf("not there: %s", want)
		}
	}
	if n := len(seen); n > 150 {
		t.Errorf("%d cases: too many for a quick run", n)
	}
	if strings.Contains(last, "%!") {
		t.Error(last)
	}
}
