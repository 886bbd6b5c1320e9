// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
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

// openTUN makes the device and brings it up with the kernel's address.
func openTUN(mtu int, addr netip.Addr) (*tun, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	t := &tun{fd: fd}
	if err := t.configure(mtu, addr); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tun) configure(mtu int, addr netip.Addr) error {
	ifr, err := unix.NewIfreq(tunName)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("making a TUN device: %w", err)
	}
	// Not on by default everywhere; where it cannot be set, adding the address tells.
	os.WriteFile("/proc/sys/net/ipv6/conf/"+tunName+"/disable_ipv6", []byte("0"), 0)
	size := attribute32(nil, unix.IFLA_MTU, uint32(mtu))
	size = attribute32(size, unix.IFLA_TXQLEN, tunQueue)
	if err := setLink(tunName, true, size); err != nil {
		return err
	}
	return addAddress(tunName, addr)
}

// down stops the kernel from sending into the device, so that the stack can be
// taken apart in peace.
func (t *tun) down() error { return setLink(tunName, false, nil) }

// close removes the device. Nobody may be using the descriptor any more.
func (t *tun) close() { unix.Close(t.fd) }
