// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rtnetlink

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func newNamespace(t *testing.T) *Namespace {
	t.Helper()
	n, err := NewNamespace()
	if err != nil {
		t.Skipf("needs privilege: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// in runs f in a namespace, and fails with its error.
func in(t *testing.T, n *Namespace, f func() error) {
	t.Helper()
	if err := n.Try(f); err != nil {
		t.Fatal(err)
	}
}

func device(t *testing.T, n *Namespace, name string) (d *net.Interface) {
	t.Helper()
	in(t, n, func() (err error) { d, err = net.InterfaceByName(name); return err })
	return d
}

func TestVeth(t *testing.T) {
	n := newNamespace(t)
	in(t, n, func() error { return AddVeth("a0", "b0", 1400) })
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	in(t, n, func() error { return SetLink("a0", &Link{Up: true, MTU: 1300, QueueLen: 77, Address: mac}) })
	in(t, n, func() error { return SetUp("b0") })
	in(t, n, func() error { return WaitRunning("a0") })
	a, b := device(t, n, "a0"), device(t, n, "b0")
	if a.MTU != 1300 || a.HardwareAddr.String() != mac.String() || a.Flags&net.FlagUp == 0 || b.MTU != 1400 {
		t.Errorf("got %+v and %+v", a, b)
	}
	var index int
	in(t, n, func() (err error) { index, err = Index("a0"); return err })
	if index != a.Index {
		t.Errorf("Index is %d, want %d", index, a.Index)
	}
	in(t, n, func() error { return SetDown("b0") })
	if err := n.Try(func() error {
		running, err := Running("a0")
		if running {
			t.Error("runs, with the other end down")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	in(t, n, func() error { return DeleteLink("b0") })
	if err := n.Try(func() error { return SetUp("a0") }); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a veth whose other end is gone: %v", err)
	}
}

func TestOffloadsOff(t *testing.T) {
	n := newNamespace(t)
	in(t, n, func() error { return AddVeth("a0", "b0", 0) })
	tso := func() (value uint32) {
		in(t, n, func() (err error) { value, err = Ethtool("a0", unix.ETHTOOL_GTSO, 0); return err })
		return value
	}
	before := tso()
	in(t, n, func() error { return OffloadsOff("a0") })
	if after := tso(); before != 1 || after != 0 {
		t.Errorf("TSO was %d and is %d, want 1 and 0", before, after)
	}
}

func TestAddressesAndRoutes(t *testing.T) {
	n := newNamespace(t)
	in(t, n, func() error { return AddVeth("a0", "b0", 0) })
	in(t, n, func() error { return UseIPv6("a0", true) })
	for _, d := range []string{"a0", "b0"} {
		in(t, n, func() error { return SetUp(d) })
	}
	for _, a := range []string{"10.1.0.1", "fd00:1::1"} {
		in(t, n, func() error { return AddAddress("a0", Subnet(netip.MustParseAddr(a))) })
	}
	for _, r := range []Route{
		{To: netip.MustParsePrefix("192.0.2.0/24")},
		{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.1.0.254"), AdvMSS: 1000},
		{To: netip.MustParsePrefix("2001:db8::/32")},
		{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fd00:1::fe")},
	} {
		in(t, n, func() error { return AddRoute("a0", &r) })
		if err := n.Try(func() error { return AddRoute("a0", &r) }); !errors.Is(err, unix.EEXIST) {
			t.Errorf("%v twice: %v", r, err)
		}
	}
	// A route is what gives a datagram a source address.
	for to, want := range map[string]string{
		"192.0.2.9": "10.1.0.1", "198.51.100.1": "10.1.0.1",
		"2001:db8::9": "fd00:1::1", "2001:db9::1": "fd00:1::1",
	} {
		in(t, n, func() error {
			c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
			if err != nil {
				return err
			}
			defer c.Close()
			if got, _, _ := net.SplitHostPort(c.LocalAddr().String()); got != want {
				t.Errorf("to %s: from %s, want %s", to, got, want)
			}
			return nil
		})
	}
}

func TestAdopt(t *testing.T) {
	n, other := newNamespace(t), newNamespace(t)
	in(t, n, func() error { return AddVeth("a0", "b0", 0) })
	in(t, n, func() error { return other.Adopt("b0") })
	device(t, other, "b0")
	if err := n.Try(func() error { return SetUp("b0") }); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a device that has moved: %v", err)
	}
}

func TestAttributesArePadded(t *testing.T) {
	for size, want := range []int{4, 8, 8, 8, 8, 12} {
		if got := Attribute(nil, 1, make([]byte, size)); len(got) != want || !slices.Equal(got[4:], make([]byte, want-4)) {
			t.Errorf("%d bytes became %v", size, got)
		}
	}
}
