// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// The kernel's addresses and netstack's.
var (
	kernelAddrs = []string{"10.0.0.1", "fd00::1"}
	stackAddrs  = []string{"10.0.0.2", "fd00::2"}
)

// kernelDevice is the device whose other end a link is, in every namespace here.
const kernelDevice = "kernel0"

// lab is a link to the kernel.
type lab struct {
	*namespace
	cfg  *rawlink.Config // FDs are nobody's yet
	port uint16
}

// newTUN makes a TUN or TAP that is up and has the kernel's addresses.
func newTUN(t *testing.T, tap bool, opts *rawlink.OpenOptions) *lab {
	t.Helper()
	l := &lab{namespace: newNamespace(t)}
	openDevice := rawlink.OpenTUN
	if tap {
		openDevice = rawlink.OpenTAP
	}
	var err error
	l.do(func() { l.cfg, err = openDevice(kernelDevice, opts) })
	l.must(err)
	l.must(l.setLink(kernelDevice, true))
	l.addresses()
	return l
}

// newPacket makes a veth pair, the kernel's addresses on one end and AF_PACKET
// sockets on the other.
func newPacket(t *testing.T, opts *rawlink.OpenOptions) *lab {
	t.Helper()
	l := &lab{namespace: newNamespace(t)}
	l.addVeth(kernelDevice, "stack0", 1500)
	if opts != nil && opts.NoVnetHdr {
		l.offloadsOff(kernelDevice)
		l.offloadsOff("stack0")
	}
	l.addresses()
	var err error
	l.do(func() { l.cfg, err = rawlink.OpenPacket("stack0", opts) })
	l.must(err)
	l.cfg.Address = ours // or the kernel answers too
	return l
}

func (l *lab) addresses() {
	for _, a := range kernelAddrs {
		l.addAddress(kernelDevice, a)
	}
}

// open makes the link.
func (l *lab) open() *rawlink.Link {
	l.t.Helper()
	return open(l.t, l.cfg)
}

// host puts a netstack over a link.
func host(t *testing.T, link stack.LinkEndpoint, queue stack.QueueingDiscipline) *transfer.Host {
	t.Helper()
	var addrs []netip.Addr
	for _, a := range stackAddrs {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	h, err := transfer.NewHost(link, &transfer.HostConfig{Addrs: addrs, QDisc: queue})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leak.Within(t, "closing a host", func() { h.Close() }) })
	return h
}

// listen listens on one of the stack's addresses.
func listen(h *transfer.Host, addr netip.Addr, port uint16) (*gonet.TCPListener, error) {
	protocol := ipv4.ProtocolNumber
	if addr.Is6() {
		protocol = ipv6.ProtocolNumber
	}
	return gonet.ListenTCP(h.Stack(), tcpip.FullAddress{NIC: transfer.NICID, Addr: tcpip.AddrFromSlice(addr.AsSlice()), Port: port}, protocol)
}

// conns connects the kernel to the stack, or the other way round, n times. Every
// socket is made in the namespace.
func (l *lab) conns(h *transfer.Host, v6 bool, n int) (kernel, netstack []net.Conn) {
	l.t.Helper()
	family := 0
	if v6 {
		family = 1
	}
	addr := netip.MustParseAddr(stackAddrs[family])
	l.port++ // the last one may linger
	port := 5000 + l.port
	ln, err := listen(h, addr, port)
	l.must(err)
	defer ln.Close()
	for range n {
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				l.t.Error(err)
			}
			accepted <- c
		}()
		k := &transfer.Kernel{Address: netip.MustParseAddr(kernelAddrs[family])}
		var c net.Conn
		l.do(func() { c, err = k.Dial(context.Background(), netip.AddrPortFrom(addr, port)) })
		l.must(err)
		kernel = append(kernel, c)
		netstack = append(netstack, leak.Done(l.t, "a connection", accepted))
	}
	return kernel, netstack
}

// exchange moves bytes both ways, one way after the other, and checks them all.
func (l *lab) exchange(h *transfer.Host, v6 bool, flows int, bytes int64) {
	l.t.Helper()
	for _, down := range []bool{false, true} {
		from, to := l.conns(h, v6, flows)
		if down {
			from, to = to, from
		}
		done := make(chan error, 2*flows)
		cfg := &transfer.Config{Flows: flows, Bytes: bytes, Stall: leak.Limit}
		for i := range flows {
			go func() {
				_, err := transfer.Send(l.t.Context(), from[i], i, cfg)
				done <- err
			}()
			go func() {
				_, _, err := transfer.Receive(l.t.Context(), to[i], cfg)
				done <- err
			}()
		}
		for range 2 * flows {
			if err := leak.Done(l.t, "a transfer", done); err != nil {
				l.t.Errorf("v6 %v, down %v: %v", v6, down, err)
			}
		}
		for i := range flows {
			from[i].Close()
			to[i].Close()
		}
	}
}

// Data goes whole, both ways and over both IP versions, through every kind of
// device, with virtio_net_hdr and without, under an endpoint and without, and
// with several queues.
func TestTransfer(t *testing.T) {
	type kind struct {
		name string
		make func(*testing.T, *rawlink.OpenOptions) *lab
	}
	for _, k := range []kind{
		{"TUN", func(t *testing.T, o *rawlink.OpenOptions) *lab { return newTUN(t, false, o) }},
		{"TAP", func(t *testing.T, o *rawlink.OpenOptions) *lab { return newTUN(t, true, o) }},
		{"AF_PACKET", newPacket},
	} {
		if k.name == "AF_PACKET" {
			t.Run("AF_PACKET/no ring", func(t *testing.T) {
				for _, queues := range []int{1, 2} {
					lab := newPacket(t, &rawlink.OpenOptions{NoVnetHdr: true, Queues: queues})
					lab.cfg.RingBytes = 0
					link := lab.open()
					h := host(t, endpoint.New(link, nil), nil)
					for _, v6 := range []bool{false, true} {
						lab.exchange(h, v6, queues, 3<<20)
					}
					t.Logf("%+v", link.Stats())
				}
			})
		}
		for _, o := range []rawlink.OpenOptions{{}, {NoVnetHdr: true}, {Queues: 3}, {Queues: 2, NoVnetHdr: true}} {
			for _, bare := range []bool{false, true} {
				for _, trust := range []bool{false, true} {
					if trust && o.Queues > 0 {
						continue
					}
					t.Run(fmt.Sprintf("%s/queues %d/vnet %v/bare %v/trust %v", k.name, o.Queues, !o.NoVnetHdr, bare, trust), func(t *testing.T) {
						lab := k.make(t, &o)
						lab.cfg.RXChecksumOffload = trust
						link := lab.open()
						var top stack.LinkEndpoint = link
						var queue stack.QueueingDiscipline
						if !bare {
							top = endpoint.New(link, nil)
							queue = fifo.New(top, 1, 500)
						}
						h := host(t, top, queue)
						for _, v6 := range []bool{false, true} {
							lab.exchange(h, v6, max(1, o.Queues), 3<<20)
						}
						s := link.Stats()
						t.Logf("%+v; granted: %v", s, link.Offloads())
						if !o.NoVnetHdr && s.SentSuper == 0 || o.NoVnetHdr && s.SentSuper+s.Super > 0 {
							t.Errorf("super-packets: %d received, %d sent", s.Super, s.SentSuper)
						}
						if !o.NoVnetHdr && !bare && s.Super == 0 {
							t.Error("no super-packet received")
						}
						if s.DroppedOversize+s.DroppedVnetHdr+s.DroppedUnsplittable > 0 {
							t.Errorf("dropped: %+v", s)
						}
					})
				}
			}
		}
	}
}

// The richest offloads are found, and asked for only where somebody takes
// super-packets.
func TestOffloads(t *testing.T) {
	for _, tap := range []bool{false, true} {
		l := newTUN(t, tap, nil)
		link := l.open()
		got := link.Offloads()
		t.Log(got)
		if want := rawlink.OffloadChecksum | rawlink.OffloadTSO4 | rawlink.OffloadTSO6; got&want != want {
			t.Errorf("granted %v", got)
		}
		features := func() (mask uint32) {
			l.do(func() { l.must(getFeatures(kernelDevice, &mask)) })
			return mask
		}
		for range 2 {
			link.Attach(&packets{})
			if features() != 0 {
				t.Error("TSO for one who takes packets only")
			}
			link.Attach(&frames{})
			if features() == 0 {
				t.Error("no TSO for one who takes frames")
			}
			link.Attach(nil)
			link.Attach(&packets{})
			if features() != 0 {
				t.Error("TSO after a change")
			}
			link.Attach(nil)
		}
		link.Close()
	}
}

// getFeatures asks whether a device is given TSO.
func getFeatures(device string, mask *uint32) error {
	value, err := ethtoolGet(device, unix.ETHTOOL_GTSO)
	*mask = value
	return err
}
