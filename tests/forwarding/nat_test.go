// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// translate sets a router's NAT table: what is for its own address on the first
// side goes to the host on the second (DNAT, before routing), and what leaves by
// the second side gets the router's address there (SNAT, after routing).
func translate(s *stack.Stack, v6, destination, source bool) {
	protocol := header.IPv4ProtocolNumber
	empty := stack.EmptyFilter4()
	if v6 {
		protocol, empty = header.IPv6ProtocolNumber, stack.EmptyFilter6()
	}
	accept := stack.Rule{Filter: empty, Target: &stack.AcceptTarget{NetworkProtocol: protocol}}
	dnat, snat := accept, accept
	if destination {
		dnat.Filter = only(v6, "10.0.1.254", "fd00:1::fe", true)
		dnat.Target = &stack.DNATTarget{Addr: addr(v6, "10.0.2.1", "fd00:2::1"), NetworkProtocol: protocol, ChangeAddress: true}
	}
	if source {
		snat.Filter = only(v6, "10.0.1.1", "fd00:1::1", false)
		snat.Target = &stack.SNATTarget{Addr: addr(v6, "10.0.2.254", "fd00:2::fe"), NetworkProtocol: protocol, ChangeAddress: true}
	}
	hooks := [stack.NumHooks]int{stack.Prerouting: 0, stack.Input: 2, stack.Forward: stack.HookUnset, stack.Output: 3, stack.Postrouting: 4}
	s.IPTables().ReplaceTable(stack.NATID, stack.Table{
		Rules: []stack.Rule{dnat, accept, accept, accept, snat, accept,
			{Filter: empty, Target: &stack.ErrorTarget{NetworkProtocol: protocol}}},
		BuiltinChains: hooks,
		Underflows:    [stack.NumHooks]int{stack.Prerouting: 1, stack.Input: 2, stack.Forward: stack.HookUnset, stack.Output: 3, stack.Postrouting: 5},
	}, v6)
}

func addr(v6 bool, v4addr, v6addr string) tcpip.Address {
	if v6 {
		v4addr = v6addr
	}
	return tcpip.AddrFromSlice(netip.MustParseAddr(v4addr).AsSlice())
}

// only matches TCP to, or from, one address.
func only(v6 bool, v4addr, v6addr string, dst bool) stack.IPHeaderFilter {
	f := stack.EmptyFilter4()
	if v6 {
		f = stack.EmptyFilter6()
	}
	f.Protocol, f.CheckProtocol = header.TCPProtocolNumber, true
	a, m := addr(v6, v4addr, v6addr), addr(v6, "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	if dst {
		f.Dst, f.DstMask = a, m
	} else {
		f.Src, f.SrcMask = a, m
	}
	return f
}

// A router that translates addresses forwards packets that have its own. They are
// left alone, without anybody having said so: the answers have given them away.
func TestNAT(t *testing.T) {
	for _, v6 := range families {
		own := "10.0.1.254"
		if v6 {
			own = "fd00:1::fe"
		}
		cfg := &transfer.Config{Bytes: 4 << 20, Stall: stall}
		for _, test := range []struct {
			name                string
			destination, source bool
			side                int // of the router, that packets with its own address come in by
		}{
			{"DNAT", true, false, 0},
			{"SNAT", false, true, 1},
			{"both", true, true, 0},
		} {
			t.Run(fmt.Sprintf("%s/v6 %v", test.name, v6), func(t *testing.T) {
				r := newRouter(t, v6, nil)
				translate(r.router, v6, test.destination, test.source)
				r.join(t)
				client, server := r.hosts[0], transfer.Node(r.hosts[1])
				if test.destination {
					server = public{r.hosts[1], own}
				}
				if err := moved(t, client, server, cfg); err != nil {
					t.Error("to the server:", err)
				}
				if err := pulled(t, client, server, cfg); err != nil {
					t.Error("from the server:", err)
				}
				for i, e := range r.ends {
					if s := e.Stats(); s.Merged != 0 || !s.Forwards {
						t.Errorf("side %d counted %+v", i, s)
					}
				}
				if s := r.ends[test.side].Stats(); s.Verdicts[coalesce.NotLocal] < 100 {
					t.Errorf("%d packets left alone", s.Verdicts[coalesce.NotLocal])
				}
			})
		}
	}
}

// Where the answers leave by another NIC, nothing gives such packets away: only the
// author can say. Without a word they are merged, and do not pass.
func TestNATOneWay(t *testing.T) {
	for _, said := range []bool{false, true} {
		t.Run(fmt.Sprintf("said %v", said), func(t *testing.T) {
			cfg := &endpoint.Config{}
			if said {
				cfg.EndsHere = func(tcpip.NetworkProtocolNumber, tcpip.Address) bool { return false }
			}
			r := newRouter(t, true, cfg)
			translate(r.router, true, true, false)
			// A third link of the router's leads back to the first host.
			lower := memlink.New(nil)
			addNIC(t, r.router, 3, endpoint.New(lower, nil))
			r.router.SetRouteTable([]tcpip.Route{
				{Destination: addr(true, "", "fd00:1::1").WithPrefix().Subnet(), NIC: 3},
				{Destination: addr(true, "", "fd00:2::1").WithPrefix().Subnet(), NIC: 2},
			})
			t.Cleanup(transfer.JoinBatches(r.links[1], r.lowers[1]))
			t.Cleanup(oneWay(r.links[0], r.lowers[0]))
			t.Cleanup(oneWay(lower, r.links[0]))
			limit := 3 * time.Second // it stalls
			if said {
				limit = leak.Limit
			}
			err := moved(t, r.hosts[0], public{r.hosts[1], "fd00:1::fe"}, &transfer.Config{Bytes: 4 << 20, Stall: limit, Limit: limit})
			if merged := r.ends[0].Stats().Merged; said != (err == nil) || said != (merged == 0) {
				t.Errorf("%d merged packets: %v", merged, err)
			}
		})
	}
}
