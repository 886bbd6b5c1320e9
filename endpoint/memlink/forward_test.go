// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// Two routers with two links between them send each other packets in circles,
// both ways round, through queues that are always full. Each pump delivers into
// the queue that another one drains: if delivering waited, they would wait for
// each other.
func TestCrossedPumps(t *testing.T) {
	leak.Check(t)
	var links [2][2]*memlink.Link
	var routers [2]*stack.Stack
	for r := range routers {
		routers[r] = stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv6.NewProtocolWithOptions(ipv6.Options{})},
			TransportProtocols: []stack.TransportProtocolFactory{udp.NewProtocol},
		})
		for i := range links[r] {
			l := memlink.New(&memlink.Config{QueuePackets: 4})
			links[r][i] = l
			if err := routers[r].CreateNIC(tcpip.NICID(i+1), endpoint.New(l, nil)); err != nil {
				t.Fatal(err)
			}
			addr := tcpip.AddrFrom16([16]byte{0xfd, 9, byte(i), 15: byte(r + 1)})
			routers[r].AddProtocolAddress(tcpip.NICID(i+1), tcpip.ProtocolAddress{
				Protocol: ipv6.ProtocolNumber, AddressWithPrefix: addr.WithPrefix()}, stack.AddressProperties{})
		}
		if err := routers[r].SetForwardingDefaultAndAllNICs(ipv6.ProtocolNumber, true); err != nil {
			t.Fatal(err)
		}
		// fd00:1::/32 goes from the first router by link 1 and back by link
		// 2; fd00:2::/32 the other way round. There is no
		// way back to the source: gVisor panics when it forwards an ICMP error
		// (PacketBuffer.GetHeaders, no tuple). IPv6, because gVisor's IPv4 reads
		// a header that it has released (see tests/transfer).
		routers[r].SetRouteTable([]tcpip.Route{
			{Destination: subnet("fd00:1::/32"), NIC: tcpip.NICID(1 + r)},
			{Destination: subnet("fd00:2::/32"), NIC: tcpip.NICID(2 - r)},
		})
	}
	for i := range 2 {
		go pump(links[0][i], links[1][i], nil)
		go pump(links[1][i], links[0][i], nil)
	}
	leak.Within(t, "forwarding in circles", func() {
		for i := range 100 {
			for way, dst := range []string{"fd00:1::9", "fd00:2::9"} {
				ip := packettest.IP{V6: true, Src: netip.MustParseAddr("fd00:9::9"), Dst: netip.MustParseAddr(dst), TTL: 60}
				var batch [][]byte
				for j := range 20 {
					batch = append(batch, packettest.UDP{IP: ip, SrcPort: uint16(i + 1), DstPort: uint16(j + 1), Payload: make([]byte, 1000)}.Bytes())
				}
				links[0][way].Write(batch, 0)
				links[1][1-way].Write(batch, 0)
			}
		}
	})
	var full uint64
	for _, pair := range links {
		for _, l := range pair {
			if s := l.Stats(); s.Read < 1000 {
				t.Errorf("a link was hardly read: %+v", s)
			} else {
				full += s.DroppedFull
			}
		}
	}
	if full == 0 {
		t.Error("no queue was ever full: this proves nothing")
	}
	for _, r := range routers {
		leak.Within(t, "Destroy", r.Destroy)
	}
}

func subnet(s string) tcpip.Subnet {
	p := netip.MustParsePrefix(s)
	n, err := tcpip.NewSubnet(tcpip.AddrFromSlice(p.Addr().AsSlice()), tcpip.MaskFromBytes([]byte{255, 255, 255, 255, 15: 0}))
	if err != nil {
		panic(err)
	}
	return n
}
