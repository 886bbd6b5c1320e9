// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// setLink brings a device up or down. attributes may set more of it at once: the
// queue length can be set by no other way in a user namespace (SIOCSIFTXQLEN asks
// for the rights of the first one).
func setLink(device string, up bool, attributes []byte) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	var flags uint32
	if up {
		flags = unix.IFF_UP
	}
	body := linkMessage(dev.Index, flags, unix.IFF_UP)
	if err := route(unix.RTM_SETLINK, 0, append(body, attributes...)); err != nil {
		return fmt.Errorf("%s: setting the link: %w", device, err)
	}
	return nil
}

// addVeth makes a pair of devices that are joined by a wire.
func addVeth(device, peer string, mtu int) error {
	end := func(name string) []byte {
		return attribute32(attribute(nil, unix.IFLA_IFNAME, cString(name)), unix.IFLA_MTU, uint32(mtu))
	}
	const infoPeer = 1 // VETH_INFO_PEER, of linux/veth.h
	other := attribute(nil, infoPeer, append(linkMessage(0, 0, 0), end(peer)...))
	info := attribute(nil, unix.IFLA_INFO_KIND, cString("veth"))
	info = attribute(info, unix.IFLA_INFO_DATA, other)
	body := append(linkMessage(0, 0, 0), end(device)...)
	body = attribute(body, unix.IFLA_LINKINFO, info)
	if err := route(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return fmt.Errorf("making a veth pair: %w", err)
	}
	return nil
}

// deleteLink removes a device, and with one end of a veth pair the other.
func deleteLink(device string) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	return route(unix.RTM_DELLINK, 0, linkMessage(dev.Index, 0, 0))
}

// linkMessage is a struct ifinfomsg: family, pad, type, index, flags, and which flags
// to change. Index 0 is a device that is yet to be made.
func linkMessage(index int, flags, change uint32) []byte {
	b := []byte{unix.AF_UNSPEC, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// addAddress gives a device an address with its subnet (/24 or /64). Without
// duplicate address detection an IPv6 address works at once.
func addAddress(device string, addr netip.Addr) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	family, bits := byte(unix.AF_INET), byte(24)
	if addr.Is6() {
		family, bits = unix.AF_INET6, 64
	}
	// struct ifaddrmsg: family, prefix length, flags, scope, index
	body := []byte{family, bits, unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	body = binary.NativeEndian.AppendUint32(body, uint32(dev.Index))
	body = attribute(body, unix.IFA_LOCAL, addr.AsSlice())
	body = attribute(body, unix.IFA_ADDRESS, addr.AsSlice())
	if err := route(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return fmt.Errorf("%s: adding %v: %w", device, addr, err)
	}
	return nil
}

// useIPv6 says whether a device takes part in IPv6. On is not the default everywhere.
// Where it cannot be said, adding an address tells.
func useIPv6(device string, on bool) {
	disable := "1"
	if on {
		disable = "0"
	}
	os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/disable_ipv6", []byte(disable), 0)
}

// attribute appends a value, and zeros up to a multiple of 4 bytes.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func cString(s string) []byte { return append([]byte(s), 0) }

func attribute32(b []byte, kind uint16, value uint32) []byte {
	return attribute(b, kind, binary.NativeEndian.AppendUint32(nil, value))
}

// route sends one rtnetlink request and waits for the kernel's answer.
func route(kind, flags uint16, body []byte) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	// struct nlmsghdr: length, type, flags, sequence number, port
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	request = binary.NativeEndian.AppendUint16(request, kind)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags)
	request = binary.NativeEndian.AppendUint32(request, 1)
	request = binary.NativeEndian.AppendUint32(request, 0)
	if err := unix.Sendto(s, append(request, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("the answer is no acknowledgement")
	}
	// struct nlmsgerr: a negative errno, 0 for success.
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
