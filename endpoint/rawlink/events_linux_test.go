// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// A device that is deleted ends the link, whoever is reading or writing.
func TestDeviceDeleted(t *testing.T) {
	for name, o := range map[string]rawlink.OpenOptions{"one queue": {}, "three queues": {Queues: 3}} {
		for _, tap := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				l := newTUN(t, tap, &o)
				s := newStops()
				l.cfg.Stopped = s.stopped
				link := l.open()
				h := host(t, endpoint.New(link, nil), nil)
				l.exchange(h, false, 1, 64<<10)
				l.must(l.deleteLink(kernelDevice))
				if err := leak.Done(t, "Stopped", s.why); !errors.Is(err, unix.EBADFD) {
					t.Error(err)
				}
				leak.Within(t, "Wait", link.Wait)
				if n, err := send(link, raw([]byte{0x45})); n != 0 || err == nil {
					t.Errorf("sending: %d, %v", n, err)
				}
			})
		}
	}
	t.Run("veth", func(t *testing.T) {
		l := newPacket(t, &rawlink.OpenOptions{Queues: 2})
		s := newStops()
		l.cfg.Stopped = s.stopped
		link := l.open()
		h := host(t, endpoint.New(link, nil), nil)
		l.exchange(h, false, 1, 64<<10)
		l.must(l.deleteLink(kernelDevice))
		if err := leak.Done(t, "Stopped", s.why); !errors.Is(err, unix.ENETDOWN) {
			t.Error(err)
		}
		leak.Within(t, "Wait", link.Wait)
	})
}

// A packet socket's interface that goes down ends the link; attached again when it
// is up, the link works.
func TestPacketInterfaceDown(t *testing.T) {
	l := newPacket(t, nil)
	s := newStops()
	l.cfg.Stopped = s.stopped
	link := l.open()
	first := &frames{}
	link.Attach(first)
	l.must(l.setLink("stack0", false))
	if err := leak.Done(t, "Stopped", s.why); !errors.Is(err, unix.ENETDOWN) || !errors.Is(link.Err(), unix.ENETDOWN) {
		t.Error(err, link.Err())
	}
	leak.Within(t, "Wait", link.Wait)
	link.Attach(nil)
	link.Attach(first) // while it is down: it waits
	link.Attach(nil)
	l.must(l.setLink("stack0", true))
	h := host(t, endpoint.New(link, nil), nil)
	l.exchange(h, false, 1, 64<<10)
	if s.n.Load() != 1 || link.Err() != nil {
		t.Errorf("stopped %d times, now %v", s.n.Load(), link.Err())
	}
}

// A ring keeps its frames through a change of session while the one before is still
// delivering, drops what is too large, and ends with its interface.
func TestRing(t *testing.T) {
	l := newPacket(t, &rawlink.OpenOptions{NoVnetHdr: true})
	l.cfg.RingBytes = 1 // as small as can be
	s := newStops()
	l.cfg.Stopped = s.stopped
	lnk := l.open()
	other := l.injector()
	defer unix.Close(other)
	inject := func(f []byte) { unix.Write(other, f) }
	waitForWire(t, lnk, inject)
	marked := func(i int) []byte { return datagram(fmt.Sprintf("frame %04d", i)) }

	inside, open := make(chan struct{}, 100), make(chan struct{})
	held := &frames{}
	held.hook = func() { inside <- struct{}{}; <-open }
	lnk.Attach(held)
	inject(marked(0))
	leak.Done(t, "a delivery", inside)
	leak.Within(t, "Attach(nil)", func() { lnk.Attach(nil) })
	next := &frames{}
	lnk.Attach(next)
	for i := 1; i < 20; i++ {
		inject(marked(i))
	}
	time.Sleep(10 * time.Millisecond)
	close(open)
	for i := 20; i < 300; i++ { // more than once around
		inject(marked(i))
		time.Sleep(10 * time.Microsecond)
	}
	lnk.SetMTU(9000) // too late for the ring: it still drops
	l.must(setMTU(l, 9000))
	inject(append(datagram(""), make([]byte, 5000)...))
	leak.Until(t, "the large frame", func() bool { return lnk.Stats().DroppedOversize > 0 })
	seen := map[string]int{}
	next.mu.Lock()
	for _, f := range append(held.got, next.got...) {
		if i := bytes.Index(f.Data, []byte("frame ")); i > 0 {
			seen[string(f.Data[i:])]++
		}
	}
	next.mu.Unlock()
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%q came %d times", what, n)
		}
	}
	if len(seen) < 100 {
		t.Errorf("%d frames of 300", len(seen))
	}
	l.must(l.setLink("stack0", false))
	if err := leak.Done(t, "Stopped", s.why); !errors.Is(err, unix.ENETDOWN) {
		t.Error(err)
	}
}

// waitForWire sends frames for others until one comes: a veth pair that is new may
// lose some.
func waitForWire(t *testing.T, l *rawlink.Link, inject func([]byte)) {
	t.Helper()
	l.Attach(&frames{})
	defer l.Attach(nil)
	foreign := datagram("")
	copy(foreign, []byte{2, 9, 9, 9, 9, 9})
	leak.Until(t, "the wire", func() bool {
		inject(foreign)
		time.Sleep(time.Millisecond)
		return l.Stats().DroppedForeign > 0
	})
}

// setMTU sets that of both ends of the veth pair.
func setMTU(l *lab, mtu uint32) error {
	return l.ns.Try(func() error {
		for _, device := range []string{kernelDevice, "stack0"} {
			if err := rtnetlink.SetLink(device, &rtnetlink.Link{MTU: mtu}); err != nil {
				return err
			}
		}
		return nil
	})
}

// A TUN that is down refuses what is written, which is counted; it ends nothing.
func TestTUNDown(t *testing.T) {
	l := newTUN(t, false, nil)
	link := l.open()
	h := host(t, endpoint.New(link, nil), nil)
	l.exchange(h, false, 1, 64<<10)
	l.must(l.setLink(kernelDevice, false))
	before := link.Stats().Waits
	if n, err := send(link, raw([]byte{0x45}), raw([]byte{0x45})); n != 0 || err != nil {
		t.Errorf("sending: %d, %v", n, err)
	}
	time.Sleep(50 * time.Millisecond)
	if n := link.Stats().Waits - before; n > aFew {
		t.Errorf("looked for frames %d times while down", n)
	}
	// The stack sends something of its own now and then.
	if s := link.Stats(); s.DroppedRefused < 2 || link.Err() != nil {
		t.Errorf("%+v, %v", s, link.Err())
	}
	l.must(l.setLink(kernelDevice, true))
	l.addresses6()
	l.exchange(h, false, 1, 64<<10)
}

// addresses6 gives back what the kernel forgets of an interface that was down.
func (l *lab) addresses6() { l.addAddress(kernelDevice, kernelAddrs[1]) }

// udp dials from the kernel to the stack's echo server on that port.
func (l *lab) udp(h *transfer.Host, v6 bool, port uint16) *net.UDPConn {
	l.t.Helper()
	family, protocol := 0, tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
	if v6 {
		family, protocol = 1, ipv6.ProtocolNumber
	}
	addr := netip.MustParseAddr(stackAddrs[family])
	server, err := gonet.DialUDP(h.Stack(), &tcpip.FullAddress{NIC: transfer.NICID, Addr: tcpip.AddrFromSlice(addr.AsSlice()), Port: port}, nil, protocol)
	l.must(err)
	l.t.Cleanup(func() { server.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			server.WriteTo(b[:n], from)
		}
	}()
	var c *net.UDPConn
	l.do(func() {
		c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	})
	l.must(err)
	l.t.Cleanup(func() { c.Close() })
	return c
}

// UDP that the kernel hands over in super-packets arrives as the datagrams that
// were sent, and so does what comes back; ARP and neighbour discovery find the way.
func TestUDP(t *testing.T) {
	for name, make := range map[string]func() *lab{
		"TUN":             func() *lab { return newTUN(t, false, nil) },
		"TAP":             func() *lab { return newTUN(t, true, nil) },
		"AF_PACKET":       func() *lab { return newPacket(t, nil) },
		"AF_PACKET plain": func() *lab { return newPacket(t, &rawlink.OpenOptions{NoVnetHdr: true}) },
	} {
		for _, bare := range []bool{false, true} {
			l := make()
			link := l.open()
			var h *transfer.Host
			if bare {
				h = host(t, link, nil)
			} else {
				h = host(t, endpoint.New(link, nil), nil)
			}
			for _, v6 := range []bool{false, true} {
				echo(t, l.udp(h, v6, 7))
			}
			s := link.Stats()
			if name == "TUN" && !bare && link.Offloads()&rawlink.OffloadUSO4 != 0 && s.Super == 0 {
				t.Errorf("%s: no UDP super-packet was received: %+v", name, s)
			}
			if s.DroppedVnetHdr+s.DroppedOversize+s.DroppedUnsplittable > 0 {
				t.Errorf("%s: %+v", name, s)
			}
			h.Close()
		}
	}
}

// echo sends 20 datagrams, at once where the kernel can, and wants them back.
func echo(t *testing.T, c *net.UDPConn) {
	t.Helper()
	// Of a new device and a new address the kernel may lose some at first.
	one, b := bytes.Repeat([]byte{7}, 100), make([]byte, 2000)
	leak.Until(t, "an answer", func() bool {
		c.Write(one)
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(b)
		return err == nil
	})
	c.SetReadDeadline(time.Now().Add(leak.Limit))
	sc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	sc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000) })
	payload := make([]byte, 20*1000-500)
	for i := range payload {
		payload[i] = byte(i / 1000)
	}
	if err == nil {
		_, err = c.Write(payload)
	}
	if err != nil {
		t.Skip("the kernel has no UDP_SEGMENT here:", err)
	}
	for i := range 20 {
		n, err := c.Read(b)
		for err == nil && n == len(one) {
			n, err = c.Read(b) // a late one
		}
		want := payload[i*1000 : min(len(payload), (i+1)*1000)]
		if err != nil || !bytes.Equal(b[:n], want) {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
}

// Frames with a VLAN tag, which the kernel takes off, do not come as if they had
// none.
func TestPacketVLAN(t *testing.T) {
	l := newPacket(t, &rawlink.OpenOptions{NoVnetHdr: true})
	link := l.open()
	d := &frames{}
	link.Attach(d)
	other := l.injector()
	defer unix.Close(other)
	plain, tagged := datagram("plain"), datagram("tagged")
	tagged = append(append(append([]byte{}, tagged[:12]...), 0x81, 0, 0, 5), tagged[12:]...)
	came := func(what string) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, f := range d.got {
			if bytes.Contains(f.Data, []byte(what)) {
				return true
			}
		}
		return false
	}
	leak.Until(t, "a frame without a tag", func() bool {
		unix.Write(other, tagged) // a veth pair that is new may lose some
		unix.Write(other, plain)
		time.Sleep(time.Millisecond)
		return came("plain")
	})
	if came("tagged") {
		t.Error("a tagged frame came without its tag")
	}
}

// injector is a socket on the other end of the veth pair.
func (l *lab) injector() (fd int) {
	l.t.Helper()
	index, err := l.index(kernelDevice)
	l.must(err)
	l.do(func() {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: int(index)})
		}
	})
	l.must(err)
	return fd
}

// What the open functions refuse, and say why.
func TestOpenRefuses(t *testing.T) {
	l := newTUN(t, false, &rawlink.OpenOptions{Queues: 2})
	fails := func(what string, open func() (*rawlink.Config, error)) {
		t.Helper()
		var err error
		l.do(func() { _, err = open() })
		if err == nil {
			t.Errorf("%s: no error", what)
			return
		}
		t.Log(err)
	}
	fails("a TAP of that name", func() (*rawlink.Config, error) { return rawlink.OpenTAP(kernelDevice, nil) })
	fails("a long name", func() (*rawlink.Config, error) { return rawlink.OpenTUN("a-name-that-is-too-long", nil) })
	fails("no such interface", func() (*rawlink.Config, error) { return rawlink.OpenPacket("nothing0", nil) })

	wrong := *l.cfg
	wrong.Ethernet = true
	if _, err := rawlink.New(&wrong); err == nil {
		t.Error("a TUN as Ethernet: no error")
	}
	wrong = *l.cfg
	wrong.VnetHdr = false
	if _, err := rawlink.New(&wrong); err == nil {
		t.Error("virtio_net_hdr forgotten: no error")
	}
	// A multi-queue device takes one more queue, which the kernel's choice of
	// name for another does not disturb.
	var one, other *rawlink.Config
	var err error
	l.do(func() { one, err = rawlink.OpenTUN(kernelDevice, nil) })
	l.must(err)
	l.do(func() { other, err = rawlink.OpenTUN("", nil) })
	l.must(err)
	if one.Name != kernelDevice || other.Name == "" || other.MTU != 1500 || other.Ethernet || !other.VnetHdr {
		t.Errorf("%+v, %+v", one, other)
	}
	for _, fd := range append(append(one.FDs, other.FDs...), l.cfg.FDs...) {
		unix.Close(fd)
	}
}
