// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rtnetlink

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Link is what SetLink changes of a device. A zero field leaves it as it is.
type Link struct {
	Up, Down bool
	MTU      uint32
	// QueueLen is how many packets wait in the device's queue. In a user namespace
	// there is no other way to say it: SIOCSIFTXQLEN asks for the rights of the
	// first one.
	QueueLen uint32
	Address  net.HardwareAddr
}

// SetLink changes a device.
func SetLink(device string, l *Link) error {
	index, err := Index(device)
	if err != nil {
		return err
	}
	var flags, change uint32
	if l.Up {
		flags = unix.IFF_UP
	}
	if l.Up || l.Down {
		change = unix.IFF_UP
	}
	body := LinkMessage(index, flags, change)
	if l.MTU > 0 {
		body = attribute32(body, unix.IFLA_MTU, l.MTU)
	}
	if l.QueueLen > 0 {
		body = attribute32(body, unix.IFLA_TXQLEN, l.QueueLen)
	}
	if len(l.Address) > 0 {
		body = Attribute(body, unix.IFLA_ADDRESS, l.Address)
	}
	if err := Send(unix.RTM_SETLINK, 0, body); err != nil {
		return fmt.Errorf("%s: setting the link: %w", device, err)
	}
	return nil
}

// SetUp brings a device up.
func SetUp(device string) error { return SetLink(device, &Link{Up: true}) }

// SetDown takes a device down.
func SetDown(device string) error { return SetLink(device, &Link{Down: true}) }

// AddVeth makes two Ethernet devices that are joined by a wire. An MTU of 0 is the
// kernel's choice, 1500.
func AddVeth(device, peer string, mtu uint32) error {
	end := func(b []byte, name string) []byte {
		b = Attribute(b, unix.IFLA_IFNAME, cString(name))
		if mtu > 0 {
			b = attribute32(b, unix.IFLA_MTU, mtu)
		}
		return b
	}
	const infoPeer = 1 // VETH_INFO_PEER, of linux/veth.h
	info := Attribute(nil, unix.IFLA_INFO_KIND, cString("veth"))
	info = Attribute(info, unix.IFLA_INFO_DATA, Attribute(nil, infoPeer, end(LinkMessage(0, 0, 0), peer)))
	body := Attribute(end(LinkMessage(0, 0, 0), device), unix.IFLA_LINKINFO, info)
	if err := Send(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return fmt.Errorf("making a veth pair: %w", err)
	}
	return nil
}

// DeleteLink removes a device, and with one end of a veth pair the other.
func DeleteLink(device string) error {
	index, err := Index(device)
	if err != nil {
		return err
	}
	if err := Send(unix.RTM_DELLINK, 0, LinkMessage(index, 0, 0)); err != nil {
		return fmt.Errorf("%s: removing the device: %w", device, err)
	}
	return nil
}

// LinkMessage is a struct ifinfomsg: family, pad, type, index, flags, and which flags
// to change. Index 0 is a device that is yet to be made.
func LinkMessage(index int, flags, change uint32) []byte {
	b := []byte{unix.AF_UNSPEC, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// Index is a device's number.
func Index(device string) (int, error) {
	var index uint32
	err := ioctl(device, unix.SIOCGIFINDEX, func(ifr *unix.Ifreq) { index = ifr.Uint32() })
	return int(index), err
}

// Running tells whether a device carries frames: for a moment after a wire is there it
// drops what is sent, and a lost SYN costs a second.
func Running(device string) (running bool, err error) {
	err = ioctl(device, unix.SIOCGIFFLAGS, func(ifr *unix.Ifreq) { running = ifr.Uint16()&unix.IFF_RUNNING != 0 })
	return running, err
}

// WaitRunning waits until a device is Running, for ten seconds at most; a veth needs
// both ends up.
func WaitRunning(device string) error {
	for range 10000 {
		running, err := Running(device)
		if running || err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s: the device does not come up", device)
}

func ioctl(device string, request uint, result func(*unix.Ifreq)) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	if err := unix.IoctlIfreq(s, request, ifr); err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	result(ifr)
	return nil
}
