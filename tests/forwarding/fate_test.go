// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// run is some segments that would merge, to dst.
func run(dst string) [][]byte {
	ip := packettest.IP{Dst: netip.MustParseAddr(dst), DF: true}
	ip.V6 = ip.Dst.Is6()
	var batch [][]byte
	for i := range 4 {
		ip.ID = uint16(i)
		seq := uint32(i * 1000)
		batch = append(batch, packettest.TCP{IP: ip, Seq: seq, Payload: packettest.Stream(seq, 1000)}.Bytes())
	}
	return batch
}

// oneNIC is a stack whose first NIC packets are written to. It has 10.0.1.254 and
// fd00:1::fe there, 10.0.2.254 and fd00:2::fe on the second, and forwards to
// 10.0.2.0/24 and fd00:2::/64 if asked to.
type oneNIC struct {
	t     *testing.T
	stack *stack.Stack
	link  *memlink.Link
	e     *endpoint.Endpoint
	out   *memlink.Link
}

func newOneNIC(t *testing.T) *oneNIC {
	t.Helper()
	leak.Check(t)
	n := &oneNIC{t: t, stack: newStack(), link: memlink.New(nil), out: memlink.New(&memlink.Config{QueuePackets: 100})}
	t.Cleanup(func() { leak.Within(t, "Destroy", n.stack.Destroy) })
	n.e = endpoint.New(n.link, nil)
	addNIC(t, n.stack, 1, n.e, "10.0.1.254/24", "fd00:1::fe/64", "fe80::1/64")
	addNIC(t, n.stack, 2, n.out, "10.0.2.254/24", "fd00:2::fe/64")
	return n
}

// writes delivers a run to dst and returns how many packets the stack was handed,
// and how many left by the second NIC.
func (n *oneNIC) writes(dst string) (delivered, forwarded int) {
	n.t.Helper()
	before, sent := n.e.Stats().Delivered, n.out.Stats().Queued
	n.link.Write(run(dst), 0)
	return int(n.e.Stats().Delivered - before), int(n.out.Stats().Queued - sent)
}

// Where a run to each kind of address ends is seen as the stack sees it. Not to
// merge is always right; to merge only what ends here.
func TestFates(t *testing.T) {
	for _, test := range []struct {
		dst       string
		merges    bool
		forwarded bool // while forwarding is on
	}{
		{"10.0.1.254", true, false},
		{"10.0.1.255", true, false},      // the subnet's broadcast
		{"255.255.255.255", true, false}, // everybody's
		{"10.0.2.254", false, false},     // the other NIC's: delivered across, if forwarding is on
		{"10.0.2.1", false, true},
		{"10.0.2.255", false, false}, // another subnet's broadcast
		{"127.0.0.1", false, false},
		{"224.0.0.1", false, false},
		{"239.1.2.3", false, false},
		{"fd00:1::fe", true, false},
		{"fe80::1", true, false},   // link-local
		{"fe80::99", false, false}, // somebody else's
		{"ff02::1", false, false},
		{"ff05::5", false, false},
		{"fd00:2::fe", false, false},
		{"fd00:2::1", false, true},
		{"::1", false, false},
	} {
		t.Run(test.dst, func(t *testing.T) {
			n := newOneNIC(t)
			if raceDetector && netip.MustParseAddr(test.dst).Is4() && test.forwarded {
				t.Skip("gVisor's IPv4 forwarding has a race of its own")
			}
			for _, forwarding := range []bool{false, true, false, true} {
				n.setForwarding(forwarding)
				delivered, forwarded := n.writes(test.dst)
				if (delivered == 1) != test.merges || !test.merges && delivered != 4 {
					t.Errorf("forwarding %v: %d packets delivered", forwarding, delivered)
				}
				if want := test.forwarded && forwarding; want != (forwarded > 0) || want && forwarded != 4 {
					t.Errorf("forwarding %v: %d packets forwarded", forwarding, forwarded)
				}
			}
		})
	}
}

func (n *oneNIC) setForwarding(on bool) {
	n.t.Helper()
	for _, protocol := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
		if err := n.stack.SetForwardingDefaultAndAllNICs(protocol, on); err != nil {
			n.t.Fatal(err)
		}
	}
}

// An address that comes or goes, and promiscuous mode and spoofing switched on and
// off, count from the next batch on.
func TestFatesChange(t *testing.T) {
	n := newOneNIC(t)
	n.setForwarding(true)
	const dst = "fd00:2::77"
	address := tcpip.AddrFromSlice(netip.MustParseAddr(dst).AsSlice())
	want := func(merges bool, when string) {
		t.Helper()
		delivered, forwarded := n.writes(dst)
		if merges && (delivered != 1 || forwarded != 0) || !merges && (delivered != 4 || forwarded != 4) {
			t.Errorf("%s: %d packets delivered, %d forwarded", when, delivered, forwarded)
		}
	}
	for range 3 {
		want(false, "before")
		n.stack.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: header.IPv6ProtocolNumber, AddressWithPrefix: address.WithPrefix()}, stack.AddressProperties{})
		want(true, "with the address")
		n.stack.RemoveAddress(1, address)
		want(false, "without it")
		n.stack.SetPromiscuousMode(1, true)
		want(true, "promiscuous")
		n.stack.SetPromiscuousMode(1, false)
		n.stack.SetSpoofing(1, true)
		want(false, "spoofing")
		n.stack.SetSpoofing(1, false)
	}
}
