// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

const tunName = "peers0"

// offloads are what wireguard-go asks of a TUN.
const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6

// kernelTUN is a TUN with vnet headers in a network namespace of its own, and a packet
// socket at the kernel's side of it.
type kernelTUN struct {
	fd     int // of the TUN, non-blocking; whoever takes it closes it
	packet int
	index  int
}

// newTUN makes a TUN that ends with the test, where whoever took fd has closed it. It
// skips where that is not allowed.
func newTUN(tb testing.TB) *kernelTUN {
	tb.Helper()
	t := &kernelTUN{fd: -1, packet: -1}
	made := make(chan error)
	go func() {
		// Never unlocked: the thread, which is in the namespace, ends with the
		// goroutine. The descriptors keep the namespace.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = t.open()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		for _, fd := range []int{t.fd, t.packet} {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
		tb.Skipf("needs privilege: a TUN in a network namespace: %v", err)
	}
	tb.Cleanup(func() { unix.Close(t.packet) })
	return t
}

func (t *kernelTUN) open() (err error) {
	// What the kernel would say for itself on a new device is not ours to measure.
	os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if t.fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
		return err
	}
	ifr, err := unix.NewIfreq(tunName)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		// USO is newer than the rest.
		if err := unix.IoctlSetInt(t.fd, unix.TUNSETOFFLOAD, offloads&^(unix.TUN_F_USO4|unix.TUN_F_USO6)); err != nil {
			return err
		}
	}
	return t.listen(ifr)
}

// listen opens the packet socket and brings the device up.
func (t *kernelTUN) listen(ifr *unix.Ifreq) (err error) {
	if t.packet, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(t.packet, unix.SIOCGIFINDEX, ifr); err != nil {
		return err
	}
	t.index = int(ifr.Uint32())
	if err := unix.SetsockoptInt(t.packet, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(t.packet, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(t.packet, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(t.packet, unix.SIOCSIFFLAGS, ifr); err != nil {
		return err
	}
	return unix.Bind(t.packet, &unix.SockaddrLinklayer{Protocol: 0, Ifindex: t.index})
}

// watch has the packet socket take what the kernel is given, in order. Benchmarks do
// without: it costs a copy of every packet.
func (t *kernelTUN) watch(tb testing.TB) {
	tb.Helper()
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network byte order
	for _, err := range []error{
		unix.SetsockoptInt(t.packet, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(t.packet, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptTimeval(t.packet, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}),
		unix.Bind(t.packet, &unix.SockaddrLinklayer{Protocol: all, Ifindex: t.index}),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
}
