// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"flag"
	"net/netip"
	"os"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		// Packets cost what they cost outside of tests, and fdbased with many
		// processors leaves goroutines behind.
		os.Exit(m.Run())
	}
	leak.Main(m)
}

// stall is how long a transfer may stand still: longer than a few retransmission
// timeouts of a sender that finds the path's MTU, on a busy machine.
const stall = 30 * time.Second

// families are the IP versions to forward: not IPv4 under the race detector, which
// finds a race of gVisor's own (see the package).
var families = func() []bool {
	if raceDetector {
		return []bool{true}
	}
	return []bool{false, true}
}()

// newStack makes a stack without NICs.
func newStack() *stack.Stack {
	return stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol, arp.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{}), // without DAD
		},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
}

// addNIC adds a NIC with these addresses, and routes to their subnets. Packet sockets
// see its packets, as in a sandbox.
func addNIC(t testing.TB, s *stack.Stack, id int, link stack.LinkEndpoint, prefixes ...string) {
	t.Helper()
	if err := s.CreateNICWithOptions(tcpip.NICID(id), link, stack.NICOptions{DeliverLinkPackets: true}); err != nil {
		t.Fatal(err)
	}
	routes := s.GetRouteTable()
	for _, p := range prefixes {
		at := netip.MustParsePrefix(p)
		address := tcpip.ProtocolAddress{
			Protocol:          header.IPv4ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(at.Addr().AsSlice()), PrefixLen: at.Bits()},
		}
		if at.Addr().Is6() {
			address.Protocol = header.IPv6ProtocolNumber
		}
		if err := s.AddProtocolAddress(tcpip.NICID(id), address, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
		routes = append(routes, tcpip.Route{Destination: address.AddressWithPrefix.Subnet(), NIC: tcpip.NICID(id)})
	}
	s.SetRouteTable(routes)
}

func forwardAll(t testing.TB, s *stack.Stack) {
	t.Helper()
	for _, protocol := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		if err := s.SetForwardingDefaultAndAllNICs(protocol, true); err != nil {
			t.Fatal(err)
		}
	}
}
