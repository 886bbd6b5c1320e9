// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"net/netip"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// namespace is a network namespace. What has to happen there, such as making a
// socket, goes through do.
type namespace struct {
	t  *testing.T
	ns *rtnetlink.Namespace
}

// newNamespace makes a namespace that ends with the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	needsRoot(t)
	checkLeaks(t)
	ns, err := rtnetlink.NewNamespace()
	if err != nil {
		t.Skipf("needs privilege: %v", err)
	}
	t.Cleanup(ns.Close)
	return &namespace{t: t, ns: ns}
}

// do runs f in the namespace.
func (n *namespace) do(f func()) { n.ns.Do(f) }

func (n *namespace) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *namespace) index(device string) (index uint32, err error) {
	err = n.ns.Try(func() error {
		i, err := rtnetlink.Index(device)
		index = uint32(i)
		return err
	})
	return index, err
}

// setLink brings a device up or down.
func (n *namespace) setLink(device string, up bool) error {
	return n.ns.Try(func() error { return rtnetlink.SetLink(device, &rtnetlink.Link{Up: up, Down: !up}) })
}

// deleteLink removes a device.
func (n *namespace) deleteLink(device string) error {
	return n.ns.Try(func() error { return rtnetlink.DeleteLink(device) })
}

// addVeth makes a pair of devices and brings them up.
func (n *namespace) addVeth(device, peer string, mtu uint32) {
	n.t.Helper()
	n.must(n.ns.Try(func() error { return rtnetlink.AddVeth(device, peer, mtu) }))
	for _, d := range []string{device, peer} {
		n.must(n.setLink(d, true))
	}
	for _, d := range []string{device, peer} {
		leak.Until(n.t, "the veth pair", func() (running bool) {
			n.must(n.ns.Try(func() (err error) { running, err = rtnetlink.Running(d); return err }))
			return running
		})
	}
}

// addAddress gives a device an address and its subnet.
func (n *namespace) addAddress(device, address string) {
	n.t.Helper()
	addr := netip.MustParseAddr(address)
	n.must(n.ns.Try(func() error {
		if addr.Is6() {
			rtnetlink.UseIPv6(device, true) // where it cannot be said, the address fails
		}
		return rtnetlink.AddAddress(device, rtnetlink.Subnet(addr))
	}))
}

// offloadsOff makes a device send what a wire would carry.
func (n *namespace) offloadsOff(device string) {
	n.t.Helper()
	n.must(n.ns.Try(func() error { return rtnetlink.OffloadsOff(device) }))
}

// ethtoolGet returns what an ETHTOOL_G command does.
func ethtoolGet(device string, command uint32) (uint32, error) {
	return rtnetlink.Ethtool(device, command, 0)
}
