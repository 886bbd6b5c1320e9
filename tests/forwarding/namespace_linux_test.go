// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// namespace is a network namespace, a kernel of its own as far as packets are
// concerned.
type namespace struct {
	*rtnetlink.Namespace
	t testing.TB
}

// newNamespace makes a namespace that ends with the test.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs privilege: root, to make devices in network namespaces")
	}
	n, err := rtnetlink.NewNamespace()
	if err != nil {
		t.Skipf("needs privilege: %v", err)
	}
	t.Cleanup(n.Close)
	return &namespace{n, t}
}

// do runs f in the namespace and fails the test with its error.
func (n *namespace) do(f func() error) {
	n.t.Helper()
	if err := n.Try(f); err != nil {
		n.t.Fatal(err)
	}
}

func (n *namespace) sysctl(name, value string) {
	n.t.Helper()
	n.do(func() error { return rtnetlink.Sysctl(name, value) })
}

// addVeth makes a pair of devices and brings them up.
func (n *namespace) addVeth(device, peer string, mtu uint32) {
	n.t.Helper()
	n.do(func() error { return rtnetlink.AddVeth(device, peer, mtu) })
	for _, d := range []string{device, peer} {
		n.do(func() error { return rtnetlink.SetUp(d) })
	}
	n.awaitRunning(device)
	n.awaitRunning(peer)
}

// awaitRunning waits until a device carries frames, which on a busy machine takes a
// second or two.
func (n *namespace) awaitRunning(device string) {
	n.t.Helper()
	leak.Until(n.t, device, func() (running bool) {
		n.do(func() (err error) { running, err = rtnetlink.Running(device); return err })
		return running
	})
}

// addAddress gives a device an address and its subnet.
func (n *namespace) addAddress(device, address string) {
	n.t.Helper()
	n.do(func() error {
		return rtnetlink.AddAddress(device, rtnetlink.Subnet(netip.MustParseAddr(address)))
	})
}

// addDefault routes everything through gateway, on device. advMSS, if not 0, is what
// connections announce, whatever the device's MTU.
func (n *namespace) addDefault(device, gateway string, advMSS uint32) {
	n.t.Helper()
	r := &rtnetlink.Route{Via: netip.MustParseAddr(gateway), AdvMSS: advMSS}
	r.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if r.Via.Is6() {
		r.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	n.do(func() error { return rtnetlink.AddRoute(device, r) })
}

// node is a Node whose sockets are the namespace's.
type node struct {
	*namespace
	kernel transfer.Kernel
}

func (n *namespace) at(addr string) transfer.Node {
	return &node{n, transfer.Kernel{Address: netip.MustParseAddr(addr)}}
}

func (k *node) Addr() netip.Addr { return k.kernel.Address }

func (k *node) Listen(ctx context.Context, port uint16) (l net.Listener, err error) {
	k.Do(func() { l, err = k.kernel.Listen(ctx, port) })
	return l, err
}

func (k *node) Dial(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	k.Do(func() { c, err = k.kernel.Dial(ctx, to) })
	return c, err
}
