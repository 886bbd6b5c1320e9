// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"

	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const (
	vethKernel = "stackdemo"  // the end with the kernel's address
	vethStack  = "stackdemo2" // the end with netstack's socket

	// stackMAC is netstack's, and not that of the device its socket is bound to: what
	// is for netstack the kernel takes for somebody else's, and drops where it would
	// otherwise look for a route, or answer.
	stackMAC = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x02")

	// packetBuffer is what the socket may hold, in bytes: AF_PACKET drops what comes
	// while it is full, and the sender is not slowed down.
	packetBuffer = 16 << 20
)

var vethLink = &kernelLink{
	name: "veth",
	open: openVeth,
	receiving: []mode{
		{name: "fdbased"},
		// Over Ethernet gVisor's GRO merges only where checksums are trusted.
		{name: "fdbased, gVisor GRO", gro: true, trust: true},
		{name: "fdbased, gVisor GRO, large buffers", gro: true, trust: true, large: true},
		{name: "netstack-offload, fdbased", offload: true},
		{name: "netstack-offload, rawlink", offload: true, raw: true},
		{name: "netstack-offload, rawlink", offload: true, raw: true, trust: true},
	},
	sending: []mode{
		{name: "fdbased"},
		{name: "fdbased, gVisor GSO, fifo", gso: true, queue: fifoPackets},
		{name: "netstack-offload, fdbased", offload: true},
		// fdbased throws the header away that says which checksums are still to be made.
		{name: "fdbased, host GSO, fifo", hostGSO: true, trust: true, queue: fifoPackets},
		{name: "netstack-offload, fdbased, fifo", offload: true, queue: fifoPackets},
		{name: "netstack-offload, rawlink", offload: true, raw: true},
		{name: "netstack-offload, rawlink, fifo", offload: true, raw: true, queue: fifoPackets},
		{name: "netstack-offload, rawlink, vnet header", offload: true, raw: true, vnet: true},
		{name: "netstack-offload, rawlink, vnet header, fifo", offload: true, raw: true, vnet: true, queue: fifoPackets},
	},
	notes: []string{
		"a veth pair, netstack at an AF_PACKET socket of one end: Ethernet frames no larger than the MTU, with complete checksums (tso, gso, gro and tx are off); fdbased reads with RecvMMsg",
		"host GSO and vnet header: super-packets of 64 KiB with partial checksums pass the pair whole",
		"gVisor's own at its best: its GRO merges Ethernet frames only where checksums are trusted",
	},
}

// A veth is a pair of Ethernet devices, and the packet socket at netstack's end.
type veth struct {
	fd int
}

// openVeth makes the pair and brings it up with the kernel's address.
func openVeth(cfg *deviceConfig) (device, error) {
	if err := addVeth(vethKernel, vethStack, cfg.mtu); err != nil {
		return nil, err
	}
	v := &veth{fd: -1}
	if err := v.configure(cfg); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *veth) configure(cfg *deviceConfig) error {
	useIPv6(vethKernel, true)
	useIPv6(vethStack, false) // not for netstack's IPv6, but the kernel's own at this end
	for _, end := range []string{vethStack, vethKernel} {
		if !cfg.super {
			if err := offloadsOff(end); err != nil {
				return err
			}
		}
		if err := setLink(end, true, nil); err != nil {
			return err
		}
	}
	if err := addAddress(vethKernel, cfg.kernel); err != nil {
		return err
	}
	dev, err := running(vethStack)
	if err != nil {
		return err
	}
	if v.fd, err = packetSocket(dev.Index); err == nil && cfg.super {
		err = unix.SetsockoptInt(v.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
	}
	return err
}

// running waits until a device carries frames: for a moment after the wire is
// there it drops what is sent, and a lost SYN costs a second.
func running(device string) (*net.Interface, error) {
	for range 1000 {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", device, err)
		}
		if dev.Flags&net.FlagRunning != 0 {
			return dev, nil
		}
		time.Sleep(time.Millisecond)
	}
	return nil, fmt.Errorf("%s: the veth pair does not come up", device)
}

// packetSocket returns a socket for the frames that arrive at a device.
func packetSocket(index int) (fd int, err error) {
	// No protocol, so that it receives nothing until it is bound to the device.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := setUpPacketSocket(fd, index); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	return fd, nil
}

func setUpPacketSocket(fd, index int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return err
	}
	// Root of a user namespace may not force it, and gets at most net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, packetBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, packetBuffer); err != nil {
			return err
		}
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network byte order
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: index})
}

func (v *veth) options() fdbased.Options {
	return fdbased.Options{
		FDs:                []int{v.fd},
		PacketDispatchMode: fdbased.RecvMMsg,
		EthernetHeader:     true,
		Address:            stackMAC,
	}
}

func (v *veth) config() (*rawlink.Config, error) {
	fd, err := dup(v.fd)
	return &rawlink.Config{FDs: []int{fd}, Name: vethStack, Ethernet: true, Address: stackMAC}, err
}

func (v *veth) down() error { return setLink(vethKernel, false, nil) }

func (v *veth) close() {
	if v.fd >= 0 {
		unix.Close(v.fd)
	}
	deleteLink(vethKernel)
}
