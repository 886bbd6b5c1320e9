// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// A router leaves what it forwards in the size it came in, because netstack would
// refuse to send it on otherwise; the hosts at both ends merge.
func TestForwarding(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, newPort := range ports {
			t.Run(testName(name, v6), func(t *testing.T) {
				if raceDetector && !v6 {
					// ipv4.forwardPacketWithRoute reads the TTL from a slice
					// whose chunk DeepCopyForForwarding has released.
					t.Skip("gVisor's IPv4 forwarding has a race of its own, over bare links too")
				}
				leak.Check(t)
				a, b := newPort(), newPort()
				r := [2]port{newPort(), newPort()}
				defer join(a, r[0], nil, nil)()
				defer join(b, r[1], nil, nil)()
				router := newRouter(t, r)
				addrs := []string{"10.0.1.1", "10.0.2.1"}
				if v6 {
					addrs = []string{"fd00:1::1", "fd00:2::1"}
				}
				from, to := newHost(t, a.link(), addrs[0]), newHost(t, b.link(), addrs[1])
				for _, way := range [][2]*transfer.Host{{from, to}, {to, from}} {
					got, err := transfer.Between(t.Context(), way[0], way[1], &transfer.Config{Flows: 2, Bytes: 2 << 20, Stall: leak.Limit})
					if err != nil || got.Bytes != 4<<20 {
						t.Fatalf("%d bytes: %v", got.Bytes, err)
					}
				}
				for i, p := range r {
					s := p.offload().Stats()
					if s.Merged != 0 || s.NoNIC || s.Received < 1000 || s.Verdicts[coalesce.NotLocal] == 0 {
						t.Errorf("the router's side %d counted %+v: want all received, none merged", i+1, s)
					}
				}
				for i, p := range []port{a, b} {
					if s := p.offload().Stats(); s.Merged == 0 {
						t.Errorf("host %d merged nothing", i+1)
					}
				}
				st := router.Stats()
				if n := st.IP.OutgoingPacketErrors.Value() + st.ICMP.V4.PacketsSent.DstUnreachable.Value() + st.ICMP.V6.PacketsSent.PacketTooBig.Value(); n != 0 {
					t.Errorf("the router refused %d packets", n)
				}
			})
		}
	}
}

// newRouter is a stack with two NICs that forwards: addresses with a 1 as second
// or third number by the first, with a 2 by the second.
func newRouter(t *testing.T, ports [2]port) *stack.Stack {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{})},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	t.Cleanup(func() { leak.Within(t, "Destroy", s.Destroy) })
	prefixes := [2][2]string{{"10.0.1.254/24", "fd00:1::fe/64"}, {"10.0.2.254/24", "fd00:2::fe/64"}}
	var routes []tcpip.Route
	for i, p := range ports {
		id := tcpip.NICID(i + 1)
		if err := s.CreateNIC(id, p.link()); err != nil {
			t.Fatal(err)
		}
		for v, prefix := range prefixes[i] {
			at := netip.MustParsePrefix(prefix)
			address := tcpip.ProtocolAddress{
				Protocol:          []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber}[v],
				AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(at.Addr().AsSlice()), PrefixLen: at.Bits()},
			}
			if err := s.AddProtocolAddress(id, address, stack.AddressProperties{}); err != nil {
				t.Fatal(err)
			}
			routes = append(routes, tcpip.Route{Destination: address.AddressWithPrefix.Subnet(), NIC: id})
		}
	}
	s.SetRouteTable(routes)
	for _, protocol := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		if err := s.SetForwardingDefaultAndAllNICs(protocol, true); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
