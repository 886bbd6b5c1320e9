// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

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
	// struct ifinfomsg: family, pad, type, index, flags, which flags to change
	body := []byte{unix.AF_UNSPEC, 0, 0, 0}
	body = binary.NativeEndian.AppendUint32(body, uint32(dev.Index))
	body = binary.NativeEndian.AppendUint32(body, flags)
	body = binary.NativeEndian.AppendUint32(body, unix.IFF_UP)
	if err := route(unix.RTM_SETLINK, 0, append(body, attributes...)); err != nil {
		return fmt.Errorf("%s: setting the link: %w", device, err)
	}
	return nil
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

// attribute appends a value whose length is a multiple of 4, as all here are.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}

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
