// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

const (
	hostMAC   = tcpip.LinkAddress("\x02\x00\x00\x00\x07\x01") // of who sends all traffic
	otherMAC  = tcpip.LinkAddress("\x02\x00\x00\x00\x07\x02") // of who is behind the second NIC
	nobodyMAC = tcpip.LinkAddress("\x02\x00\x00\x00\x07\x03")
	bridgeMAC = tcpip.LinkAddress("\x02\x00\x00\x00\x09\x03")
	nicMAC1   = tcpip.LinkAddress("\x02\x00\x00\x00\x09\x01")
	nicMAC2   = tcpip.LinkAddress("\x02\x00\x00\x00\x09\x02")
	everybody = header.EthernetBroadcastAddress

	bridgeNIC = 3
)

// over is how the links of a stack are made.
type over struct {
	endpoint, batches bool
}

// Endpoints over both kinds of link; nobody is over bare ones.
var overs = map[string]over{
	"frames":  {endpoint: true, batches: true},
	"packets": {endpoint: true},
}

// site is a stack with two NICs, and a socket that hears what is sent to port 443.
type site struct {
	t       *testing.T
	v6      bool
	stack   *stack.Stack
	wires   [2]*ether
	ends    [2]*endpoint.Endpoint // nil if bare
	sockets tcpip.Endpoint
}

func newSite(t *testing.T, v6 bool, o over) *site {
	t.Helper()
	s := &site{t: t, v6: v6, stack: newStack()}
	t.Cleanup(func() { leak.Within(t, "Destroy", s.stack.Destroy) })
	for i, mac := range []tcpip.LinkAddress{nicMAC1, nicMAC2} {
		s.wires[i] = newEther(mac, 1500, o.batches)
	}
	for i := range s.ends {
		if o.endpoint {
			s.ends[i] = newEnd(s.wires[i])
		}
	}
	return s
}

// newEnd makes an Endpoint in which all keeps its order, and nothing is dropped for
// want of room.
func newEnd(w *ether) *endpoint.Endpoint {
	return endpoint.New(w, &endpoint.Config{Workers: 1, QueuePackets: 1 << 20, QueueBytes: 1 << 30})
}

func (s *site) link(i int) stack.LinkEndpoint {
	if s.ends[i] != nil {
		return s.ends[i]
	}
	return s.wires[i]
}

func (s *site) protocol() tcpip.NetworkProtocolNumber {
	if s.v6 {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}

func (s *site) must(err tcpip.Error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// newRouterSite is a site that forwards, groups too.
func newRouterSite(t *testing.T, v6 bool, o over) *site {
	t.Helper()
	s := newSite(t, v6, o)
	s.wires[1].SetMTU(1400)
	for i := range 2 {
		addNIC(t, s.stack, i+1, s.link(i), fmt.Sprintf("10.0.%d.254/24", i+1), fmt.Sprintf("fd00:%d::fe/64", i+1))
	}
	forwardAll(t, s.stack)
	s.must(s.stack.AddStaticNeighbor(1, s.protocol(), addr(v6, "10.0.1.1", "fd00:1::1"), hostMAC))
	s.must(s.stack.AddStaticNeighbor(2, s.protocol(), addr(v6, "10.0.2.1", "fd00:2::1"), otherMAC))
	if _, err := s.stack.EnableMulticastForwardingForProtocol(s.protocol(), noEvents{}); err != nil {
		t.Fatal(err)
	}
	for id := range 2 {
		if _, err := s.stack.SetNICMulticastForwarding(tcpip.NICID(id+1), s.protocol(), true); err != nil {
			t.Fatal(err)
		}
	}
	routed, own := addr(v6, "239.1.2.3", "ff0e::123"), addr(v6, "239.1.2.4", "ff0e::124")
	s.must(s.stack.AddMulticastRoute(s.protocol(), stack.UnicastSourceAndMulticastDestination{
		Source: addr(v6, "10.0.1.1", "fd00:1::1"), Destination: routed,
	}, stack.MulticastRoute{ExpectedInputInterface: 1, OutgoingInterfaces: []stack.MulticastRouteOutgoingInterface{{ID: 2, MinTTL: 1}}}))
	// Not the routed one too: of IPv6 gVisor then delivers a header that is released.
	s.must(s.stack.JoinGroup(s.protocol(), 1, own))
	s.listen()
	return s
}

// newBridgeSite is a site whose NICs are ports of a bridge, which has an address.
func newBridgeSite(t *testing.T, v6 bool, o over) *site {
	t.Helper()
	s := newSite(t, v6, o)
	b := stack.NewBridgeEndpoint(1514)
	b.SetLinkAddress(bridgeMAC)
	addNIC(t, s.stack, bridgeNIC, b, "10.0.1.254/24", "fd00:1::fe/64")
	s.must(s.stack.AddStaticNeighbor(bridgeNIC, s.protocol(), addr(v6, "10.0.1.1", "fd00:1::1"), hostMAC))
	for i := range 2 {
		addNIC(t, s.stack, i+1, s.link(i))
		s.must(s.stack.SetNICCoordinator(tcpip.NICID(i+1), bridgeNIC))
	}
	s.must(s.stack.JoinGroup(s.protocol(), bridgeNIC, addr(v6, "239.1.2.3", "ff0e::123")))
	s.listen()
	return s
}

type noEvents struct{}

func (noEvents) OnMissingRoute(stack.MulticastPacketContext) {}

func (noEvents) OnUnexpectedInputInterface(stack.MulticastPacketContext, tcpip.NICID) {}

func (s *site) listen() {
	s.t.Helper()
	var err tcpip.Error
	s.sockets, err = s.stack.NewEndpoint(udp.ProtocolNumber, s.protocol(), new(waiter.Queue))
	s.must(err)
	s.t.Cleanup(s.sockets.Close)
	s.must(s.sockets.Bind(tcpip.FullAddress{Port: 443}))
}

// datagrams returns what the socket has heard.
func (s *site) datagrams() (heard []string) {
	for {
		var b bytes.Buffer
		r, err := s.sockets.Read(&b, tcpip.ReadOptions{NeedRemoteAddr: true})
		if err != nil {
			return heard
		}
		heard = append(heard, fmt.Sprintf("%v:%d %q", r.RemoteAddr.Addr, r.RemoteAddr.Port, b.String()))
	}
}

// sent is a batch that comes by the first wire.
type sent struct {
	name   string
	frames [][]byte
}

// traffic is of every kind that does not simply end in a socket.
func traffic(v6, bridge bool) (all []sent) {
	own, far, gone, group, joined := "10.0.1.254", "10.0.2.1", "203.0.113.9", "239.1.2.3", "239.1.2.4"
	host, near, all4 := "10.0.1.1", "10.0.1.2", "255.255.255.255"
	if v6 {
		own, far, gone, group, joined = "fd00:1::fe", "fd00:2::1", "2001:db8::9", "ff0e::123", "ff0e::124"
		host, near, all4 = "fd00:1::1", "fd00:1::2", "ff02::1"
	}
	to := func(dst string, ttl uint8) packettest.IP {
		return packettest.IP{V6: v6, Src: netip.MustParseAddr(host), Dst: netip.MustParseAddr(dst), TTL: ttl, DF: true}
	}
	station := nicMAC1
	if bridge {
		station = bridgeMAC
	}
	add := func(name string, mac tcpip.LinkAddress, packets ...[]byte) {
		s := sent{name: name}
		for _, p := range packets {
			s.frames = append(s.frames, frameTo(mac, hostMAC, p))
		}
		all = append(all, s)
	}
	segments := func(ip packettest.IP, size int) (run [][]byte) {
		for i := range 4 {
			ip.ID = uint16(i)
			seq := uint32(i * size)
			run = append(run, packettest.TCP{IP: ip, Seq: seq, Payload: packettest.Stream(seq, size)}.Bytes())
		}
		return run
	}
	datagrams := func(ip packettest.IP, port uint16, size int) (run [][]byte) {
		for i := range 4 {
			ip.ID = uint16(i)
			run = append(run, packettest.UDP{IP: ip, DstPort: port, Payload: packettest.Stream(uint32(i), size)}.Bytes())
		}
		return run
	}
	add("TCP to another", station, segments(to(far, 64), 1000)...)
	add("UDP to another", station, datagrams(to(far, 64), 443, 1000)...)
	add("TCP too large", station, segments(to(far, 64), 1440)...)
	add("UDP too large", station, datagrams(to(far, 64), 443, 1440)...)
	add("TCP whose time is up", station, segments(to(far, 1), 1000)...)
	add("UDP whose time is up", station, datagrams(to(far, 1), 443, 1000)...)
	add("TCP to nowhere", station, segments(to(gone, 64), 1000)...)
	add("UDP to a port", station, datagrams(to(own, 64), 443, 1000)...)
	add("UDP to no port", station, datagrams(to(own, 64), 9, 1000)...)
	add("TCP SYN to no port", station, packettest.TCP{IP: to(own, 64), Flags: packettest.SYN}.Bytes())
	add("UDP to a group", everybody, datagrams(to(group, 8), 443, 1000)...)
	add("UDP to a group, too large", everybody, datagrams(to(group, 8), 443, 1440)...)
	add("TCP to a group", everybody, segments(to(group, 8), 1000)...)
	add("UDP to a group that is not forwarded", everybody, datagrams(to(joined, 8), 443, 1000)...)
	add("UDP to everybody", everybody, datagrams(to(all4, 1), 443, 1000)...)
	add("TCP to everybody", everybody, segments(to(all4, 1), 1000)...)
	add("an echo request", station, packettest.ICMP{IP: to(own, 64), ID: 7, Payload: packettest.Stream(0, 500)}.Bytes())
	add("an echo request to everybody", everybody, packettest.ICMP{IP: to(all4, 1), ID: 7, Payload: packettest.Stream(0, 500)}.Bytes())
	// An error about a datagram that this stack has sent, quoted.
	quote := packettest.UDP{IP: packettest.IP{V6: v6, Src: netip.MustParseAddr(own), Dst: netip.MustParseAddr(gone)}, Payload: []byte("quoted")}.Bytes()
	unreachable := packettest.ICMP{IP: to(own, 64), Type: 3, Code: 3, Payload: quote}
	if v6 {
		unreachable.Type, unreachable.Code = 1, 4
	}
	add("an error that quotes", station, unreachable.Bytes())
	if !v6 {
		subnet := to("10.0.1.255", 64)
		add("UDP to the subnet", everybody, datagrams(subnet, 443, 1000)...)
	}
	if bridge { // flooded: the bridge does not know where that is
		add("TCP to a station", otherMAC, segments(to(near, 64), 1000)...)
		add("TCP to nobody's station", nobodyMAC, segments(to(own, 64), 1000)...)
		add("UDP to nobody's station", nobodyMAC, datagrams(to(own, 64), 443, 1000)...)
	}
	return all
}

// observed is what a site made of one batch.
type observed struct {
	left  [2][][]byte
	heard []string
}

// play writes a batch, and behind it an echo request: when that is answered, all is
// done.
func (s *site) play(frames [][]byte, station tcpip.LinkAddress) (o observed) {
	s.t.Helper()
	s.wires[0].write(frames)
	ip := packettest.IP{V6: s.v6, Src: netip.MustParseAddr("10.0.1.1"), Dst: netip.MustParseAddr("10.0.1.254")}
	if s.v6 {
		ip.Src, ip.Dst = netip.MustParseAddr("fd00:1::1"), netip.MustParseAddr("fd00:1::fe")
	}
	marker := []byte("the end of the batch")
	s.wires[0].write([][]byte{frameTo(station, hostMAC, packettest.ICMP{IP: ip, Payload: marker}.Bytes())})
	answered := false
	leak.Until(s.t, "the answer", func() bool {
		o.left[0] = append(o.left[0], s.wires[0].take()...)
		n := len(o.left[0])
		answered = n > 0 && bytes.HasSuffix(o.left[0][n-1], marker)
		return answered
	})
	o.left[0] = o.left[0][:len(o.left[0])-1]
	o.left[1] = s.wires[1].take()
	// A bridge floods the answer and the marker.
	o.left[1] = slices.DeleteFunc(o.left[1], func(b []byte) bool { return bytes.HasSuffix(b, marker) })
	o.heard = s.datagrams()
	for _, left := range o.left {
		for _, b := range left {
			anonymous(b)
		}
	}
	return o
}

// anonymous takes the IPv4 ID, which is random, out of what the stack says itself.
func anonymous(frame []byte) {
	ip := header.IPv4(frame[header.EthernetMinimumSize:])
	if header.Ethernet(frame).Type() == header.IPv4ProtocolNumber && ip.SourceAddress() == addr(false, "10.0.1.254", "") {
		ip.SetID(0)
		ip.SetChecksum(0)
	}
}

// What is not merged leaves, and is heard, as it does and is without an Endpoint:
// forwarded traffic and what groups and everybody are sent, ICMP errors and what
// they quote, frames that a bridge floods, delivers, or both.
func TestSameAsWithout(t *testing.T) {
	for name, o := range overs {
		for _, bridge := range []bool{false, true} {
			for _, v6 := range families {
				t.Run(fmt.Sprintf("%s/bridge %v/v6 %v", name, bridge, v6), func(t *testing.T) {
					leak.Check(t)
					build, station := newRouterSite, nicMAC1
					if bridge {
						build, station = newBridgeSite, bridgeMAC
					}
					bare, with := build(t, v6, over{}), build(t, v6, o)
					everything := 0
					for _, s := range traffic(v6, bridge) {
						want, got := bare.play(s.frames, station), with.play(s.frames, station)
						for i := range want.left {
							if !slices.EqualFunc(got.left[i], want.left[i], bytes.Equal) {
								t.Errorf("%s: by NIC %d %d frames left, %d without:\n%s", s.name, i+1, len(got.left[i]), len(want.left[i]), difference(got.left[i], want.left[i]))
							}
							everything += len(want.left[i])
						}
						if !slices.Equal(got.heard, want.heard) {
							t.Errorf("%s: %d datagrams were heard, %d without", s.name, len(got.heard), len(want.heard))
						}
						everything += len(want.heard)
					}
					if everything < 40 {
						t.Errorf("%d frames and datagrams in all: this proves nothing", everything)
					}
				})
			}
		}
	}
}

func difference(got, want [][]byte) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("frame %d is missing: % x", i, want[i][:min(len(want[i]), 120)])
		case i >= len(want):
			return fmt.Sprintf("frame %d is more: % x", i, got[i][:min(len(got[i]), 120)])
		case !bytes.Equal(got[i], want[i]):
			return fmt.Sprintf("frame %d:\n% x\n% x", i, got[i][:min(len(got[i]), 120)], want[i][:min(len(want[i]), 120)])
		}
	}
	return ""
}
