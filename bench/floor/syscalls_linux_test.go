// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/traffic"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

const (
	vnetLen     = 10
	ethernetLen = 14
	device      = "floor0"
	far         = "floor1"
	burst       = 64 // packets a call, and how many wait to be read
)

// A load is what passes at once: one packet of the wire or, with vnet header, a
// super-packet.
type load struct {
	name     string
	segments int
	vnet     bool
}

var loads = []load{{"wire", 1, false}, {"super", merged, true}}

// packet is one of that load, of TCP, with what goes before it: an Ethernet header, a
// virtio_net_hdr. The system under it finds no route for it.
func (l load) packet(ethernet bool) (pkt []byte, payload int) {
	size := (&traffic.Batch{Kind: traffic.TCP4}).Payload()
	p := packettest.TCP{
		IP: packettest.IP{ID: 1}, Window: 512, Options: packettest.Timestamp(1, 2),
		Payload: packettest.Stream(0, l.segments*size),
	}
	ip := p.Bytes()
	l2 := 0
	if ethernet {
		l2 = ethernetLen
		frame := make([]byte, ethernetLen, ethernetLen+len(ip))
		frame[5], frame[11] = 2, 1 // to nobody
		binary.BigEndian.PutUint16(frame[12:], unix.ETH_P_IP)
		ip = append(frame, ip...)
	}
	if l.vnet {
		hdr := make([]byte, vnetLen, vnetLen+len(ip))
		hdr[0], hdr[1] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_GSO_TCPV4
		binary.NativeEndian.PutUint16(hdr[2:], uint16(len(ip)-len(p.Payload)))
		binary.NativeEndian.PutUint16(hdr[4:], uint16(size))
		binary.NativeEndian.PutUint16(hdr[6:], uint16(l2+20))
		binary.NativeEndian.PutUint16(hdr[8:], 16)
		ip = append(hdr, ip...)
	}
	return ip, len(p.Payload)
}

// inNamespace runs f in a network namespace that ends with the benchmark, or skips.
func inNamespace(b *testing.B, f func() error) {
	b.Helper()
	ns, err := rtnetlink.NewNamespace()
	if err == nil {
		b.Cleanup(ns.Close)
		err = ns.Try(f)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, os.ErrNotExist) {
		b.Skipf("needs privilege: %v", err)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func quiet() error { return rtnetlink.Sysctl("ipv6/conf/default/disable_ipv6", "1") }

// packetSocket is bound to a device, and receives nothing from it with protocol 0.
func packetSocket(device string, protocol uint16, vnet bool) (int, error) {
	index, err := rtnetlink.Index(device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	on := 0
	if vnet {
		on = 1
	}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, on),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 64<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(protocol), Ifindex: index}),
	)
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

func openTUN(vnet bool) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return fd, err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return fd, err
	}
	if vnet {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4); err != nil {
			return fd, err
		}
	}
	return fd, rtnetlink.SetUp(device)
}

func openVeth() error {
	err := rtnetlink.AddVeth(device, far, 1500)
	if err == nil {
		err = errors.Join(rtnetlink.SetUp(device), rtnetlink.SetUp(far))
	}
	if err == nil {
		err = rtnetlink.WaitRunning(device)
	}
	return err
}

func closeFDs(b *testing.B, fds ...*int) {
	b.Cleanup(func() {
		for _, fd := range fds {
			if *fd >= 0 {
				unix.Close(*fd)
			}
		}
	})
}

// A vector is a batch for sendmmsg or recvmmsg: one buffer a message.
type vector struct {
	iovs [burst]unix.Iovec
	msgs [burst]struct {
		hdr unix.Msghdr
		len uint32
	}
}

func newVector(buffer func(i int) []byte) *vector {
	v := &vector{}
	for i := range v.msgs {
		b := buffer(i)
		v.iovs[i].Base = &b[0]
		v.iovs[i].SetLen(len(b))
		v.msgs[i].hdr.Iov = &v.iovs[i]
		v.msgs[i].hdr.SetIovlen(1)
	}
	return v
}

// call makes the system call for messages from first on and returns how many it took.
func (v *vector) call(trap uintptr, fd, first int) (int, error) {
	n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&v.msgs[first])), uintptr(burst-first), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// all makes it until all messages have gone.
func (v *vector) all(trap uintptr, fd int) error {
	for done := 0; done < burst; {
		n, err := v.call(trap, fd, done)
		if err != nil {
			return fmt.Errorf("after %d messages: %w", done, err)
		}
		done += n
	}
	return nil
}

// BenchmarkTUN reads and writes one packet a call. What is read waits in the device;
// what is written the kernel takes in, finds no route for, and drops.
func BenchmarkTUN(b *testing.B) {
	for _, l := range loads {
		pkt, payload := l.packet(false)
		open := func(b *testing.B) (tun, kernel int) {
			tun, kernel = -1, -1
			closeFDs(b, &tun, &kernel)
			inNamespace(b, func() (err error) {
				if err = quiet(); err == nil {
					tun, err = openTUN(l.vnet)
				}
				if err == nil {
					kernel, err = packetSocket(device, 0, l.vnet)
				}
				return err
			})
			return tun, kernel
		}
		b.Run("write/"+l.name, func(b *testing.B) {
			tun, _ := open(b)
			for b.Loop() {
				if _, err := unix.Writev(tun, [][]byte{pkt}); err != nil {
					b.Fatal(err)
				}
			}
			perGB(b, payload)
		})
		b.Run("read/"+l.name, func(b *testing.B) {
			tun, kernel := open(b)
			bound, err := unix.Getsockname(kernel)
			if err != nil {
				b.Fatal(err)
			}
			to := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: bound.(*unix.SockaddrLinklayer).Ifindex}
			bufs := [][]byte{make([]byte, 1<<17)}
			for b.Loop() {
				b.StopTimer()
				for range burst {
					if err := unix.Sendto(kernel, pkt, 0, to); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				for range burst {
					if n, err := unix.Readv(tun, bufs); err != nil || n != len(pkt) {
						b.Fatal(n, err)
					}
				}
			}
			perGB(b, burst*payload)
		})
	}
}

// BenchmarkPacket reads and writes 64 packets a call through AF_PACKET sockets on a
// veth pair. What is read waits in the socket; what is written goes through the pair,
// and nobody at the other end wants it.
func BenchmarkPacket(b *testing.B) {
	for _, l := range loads {
		pkt, payload := l.packet(true)
		out := newVector(func(int) []byte { return pkt })
		open := func(b *testing.B, listen uint16) (sender, receiver int) {
			sender, receiver = -1, -1
			closeFDs(b, &sender, &receiver)
			inNamespace(b, func() (err error) {
				if err = quiet(); err == nil {
					err = openVeth()
				}
				if err == nil {
					sender, err = packetSocket(device, 0, l.vnet)
				}
				if err == nil {
					receiver, err = packetSocket(far, listen, l.vnet)
				}
				return err
			})
			return sender, receiver
		}
		b.Run("write/"+l.name, func(b *testing.B) {
			sender, _ := open(b, 0)
			for b.Loop() {
				if err := out.all(unix.SYS_SENDMMSG, sender); err != nil {
					b.Fatal(err)
				}
			}
			perGB(b, burst*payload)
		})
		b.Run("read/"+l.name, func(b *testing.B) {
			sender, receiver := open(b, unix.ETH_P_ALL)
			in := newVector(func(int) []byte { return make([]byte, len(pkt)) })
			for b.Loop() {
				b.StopTimer()
				if err := out.all(unix.SYS_SENDMMSG, sender); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := in.all(unix.SYS_RECVMMSG, receiver); err != nil {
					b.Fatal(err)
				}
			}
			perGB(b, burst*payload)
		})
	}
}
