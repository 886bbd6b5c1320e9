// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"fmt"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

// tunQueue is how many packets the kernel keeps for a slow reader.
const tunQueue = 1000

// A tun is a TUN device, and the descriptor that keeps it alive.
type tun struct {
	fd int
}

// openTUN makes the device and brings it up with the kernel's address.
func openTUN(r *Run) (device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	t := &tun{fd: fd}
	if err := t.configure(r); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tun) configure(r *Run) error {
	ifr, err := unix.NewIfreq(kernelDevice)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if r.Mode.Vnet {
		flags |= unix.IFF_VNET_HDR
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(t.fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("making a TUN device: %w", err)
	}
	up := &rtnetlink.Link{Up: true, MTU: uint32(r.MTU), QueueLen: tunQueue}
	if err := rtnetlink.SetLink(kernelDevice, up); err != nil {
		return err
	}
	return giveAddress(kernelDevice, r.Addresses()[0])
}

func (t *tun) options() fdbased.Options {
	return fdbased.Options{FDs: []int{t.fd}, PacketDispatchMode: fdbased.Readv}
}

func (t *tun) config() (*rawlink.Config, error) {
	fd, err := dup(t.fd)
	return &rawlink.Config{FDs: []int{fd}, Name: kernelDevice, UseRead: true}, err
}

func (t *tun) down() error { return rtnetlink.SetDown(kernelDevice) }

// close removes the device, as it lives no longer than its descriptor.
func (t *tun) close() { unix.Close(t.fd) }
