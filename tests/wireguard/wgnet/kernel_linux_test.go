// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/peers"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/wgnet"
)

// A netstack at one end, the kernel's TCP over wireguard-go's own TUN device at the
// other.
func TestKernelPeer(t *testing.T) {
	for _, ends := range [][2]netip.Addr{{a4, b4}, {a6, b6}} {
		t.Run(ends[0].String(), func(t *testing.T) {
			leak.Check(t)
			ns := newNamespace(t)
			devA, netA := newDevice(t, &wgnet.Config{Addrs: ends[:1]})
			devB := ns.tun(t, ends[1])
			p, err := peers.Join(devA, devB)
			if err != nil {
				t.Fatal(err)
			}
			defer leak.Within(t, "closing the peers", p.Close)
			a, b := &peers.Node{Net: netA, Address: ends[0]}, &kernelNode{ns, transfer.Kernel{Address: ends[1]}}
			cfg := &transfer.Config{Flows: 2, Bytes: 4 << 20, Stall: leak.Limit}
			for _, way := range [][2]transfer.Node{{a, b}, {b, a}} {
				if r, err := transfer.Between(t.Context(), way[0], way[1], cfg); err != nil || r.Bytes != 8<<20 {
					t.Fatalf("%d bytes, %v", r.Bytes, err)
				}
			}
		})
	}
}

// namespace is a network namespace: what do runs, runs there.
type namespace struct{ work chan func() }

func newNamespace(t *testing.T) *namespace {
	ns := &namespace{make(chan func())}
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		entered <- syscall.Unshare(syscall.CLONE_NEWNET)
		for f := range ns.work {
			f()
		}
	}()
	t.Cleanup(func() { close(ns.work) })
	if err := <-entered; err != nil {
		t.Skipf("needs privilege: making a network namespace: %v", err)
	}
	return ns
}

func (ns *namespace) do(f func()) {
	done := make(chan struct{})
	ns.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// tun is wireguard-go's TUN device in the namespace, with an address and a default
// route.
func (ns *namespace) tun(t *testing.T, addr netip.Addr) (d tun.Device) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2's ip is not installed")
	}
	const name = "wgnet"
	var err error
	ns.do(func() {
		if d, err = tun.CreateTUN(name, 1420); err != nil {
			return
		}
		prefix := netip.PrefixFrom(addr, addr.BitLen())
		for _, c := range []string{
			fmt.Sprintf("addr add %v dev %s", prefix, name),
			fmt.Sprintf("link set %s up", name),
			fmt.Sprintf("-%d route add default dev %s", version(addr), name),
		} {
			if out, e := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); e != nil && err == nil {
				err = fmt.Errorf("ip %s: %w: %s", c, e, out)
			}
		}
	})
	if d == nil {
		t.Skipf("needs privilege: making a TUN device: %v", err)
	}
	if err != nil {
		d.Close()
		t.Fatal(err)
	}
	return d
}

func version(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// kernelNode is the kernel's TCP in a namespace.
type kernelNode struct {
	ns *namespace
	transfer.Kernel
}

func (k *kernelNode) Listen(ctx context.Context, port uint16) (ln net.Listener, err error) {
	k.ns.do(func() { ln, err = k.Kernel.Listen(ctx, port) })
	return ln, err
}

func (k *kernelNode) Dial(ctx context.Context, to netip.AddrPort) (conn net.Conn, err error) {
	k.ns.do(func() { conn, err = k.Kernel.Dial(ctx, to) })
	return conn, err
}
