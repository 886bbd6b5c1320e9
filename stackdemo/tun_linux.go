// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"

	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const (
	tunName = "stackdemo"
	// tunQueue is how many packets the kernel keeps for a slow reader.
	tunQueue = 1000
)

// A tun is a TUN device without vnet header, and the descriptor that keeps it alive.
type tun struct {
	fd int
}

var tunLink = &kernelLink{
	name: "TUN",
	open: openTUN,
	receiving: []mode{
		{name: "fdbased"},
		// gVisor's GRO works over a TUN only where checksums are trusted: without, what
		// it merges is dropped, and the connection lives on retransmitted single segments.
		{name: "fdbased, gVisor GRO", gro: true, trust: true},
		{name: "fdbased, gVisor GRO, large buffers", gro: true, trust: true, large: true},
		{name: "netstack-offload, fdbased", offload: true},
		{name: "netstack-offload, rawlink", offload: true, raw: true},
		{name: "netstack-offload, rawlink", offload: true, raw: true, trust: true},
		{name: "netstack-offload, rawlink, vnet header", offload: true, raw: true, vnet: true},
		{name: "netstack-offload, rawlink, vnet header", offload: true, raw: true, vnet: true, trust: true},
	},
	// fdbased has GSO for sockets only; batching in qdisc/fifo is what is left on a TUN.
	sending: []mode{
		{name: "fdbased"},
		{name: "fdbased, fifo", queue: fifoPackets},
		{name: "netstack-offload, fdbased", offload: true},
		{name: "netstack-offload, fdbased, fifo", offload: true, queue: fifoPackets},
		{name: "netstack-offload, rawlink", offload: true, raw: true},
		{name: "netstack-offload, rawlink, fifo", offload: true, raw: true, queue: fifoPackets},
		{name: "netstack-offload, rawlink, vnet header", offload: true, raw: true, vnet: true},
		{name: "netstack-offload, rawlink, vnet header, fifo", offload: true, raw: true, vnet: true, queue: fifoPackets},
	},
	notes: []string{
		"a TUN: each system call reads or writes one packet, no larger than the MTU, or, with vnet header, of up to 64 KiB",
		"gVisor's own at its best: fdbased has no GSO on a TUN (fifo batches), and with its GRO next to nothing arrives unless checksums are trusted",
	},
}

// openTUN makes the device and brings it up with the kernel's address.
func openTUN(cfg *deviceConfig) (device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	t := &tun{fd: fd}
	if err := t.configure(cfg); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tun) configure(cfg *deviceConfig) error {
	ifr, err := unix.NewIfreq(tunName)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if cfg.vnet {
		flags |= unix.IFF_VNET_HDR
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("making a TUN device: %w", err)
	}
	useIPv6(tunName, true)
	size := attribute32(nil, unix.IFLA_MTU, uint32(cfg.mtu))
	size = attribute32(size, unix.IFLA_TXQLEN, tunQueue)
	if err := setLink(tunName, true, size); err != nil {
		return err
	}
	return addAddress(tunName, cfg.kernel)
}

func (t *tun) options() fdbased.Options {
	return fdbased.Options{FDs: []int{t.fd}, PacketDispatchMode: fdbased.Readv}
}

func (t *tun) config() (*rawlink.Config, error) {
	fd, err := dup(t.fd)
	return &rawlink.Config{FDs: []int{fd}, Name: tunName}, err
}

func (t *tun) down() error { return setLink(tunName, false, nil) }

// close removes the device, as it lives no longer than its descriptor.
func (t *tun) close() { unix.Close(t.fd) }
