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

	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const (
	tunName = "relay"
	// tunQueue is how many packets the kernel keeps for a slow reader.
	tunQueue = 1000
)

// openDevice makes the TUN of the namespace that it is called in, with addresses and
// default routes.
func openDevice(o *options) (*rawlink.Config, error) {
	cfg, err := rawlink.OpenTUN(tunName, &rawlink.OpenOptions{NoVnetHdr: !o.Vnet})
	if err != nil {
		return nil, err
	}
	cfg.MTU = uint32(o.MTU)
	if err := configureDevice(cfg); err != nil {
		unix.Close(cfg.FDs[0])
		return nil, fmt.Errorf("%s: %w", tunName, err)
	}
	return cfg, nil
}

func configureDevice(cfg *rawlink.Config) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	dev, err := net.InterfaceByName(cfg.Name)
	if err != nil {
		return err
	}
	// On is not the default everywhere; where it cannot be said, the address fails.
	os.WriteFile("/proc/sys/net/ipv6/conf/"+cfg.Name+"/disable_ipv6", []byte("0"), 0)
	size := attribute(nil, unix.IFLA_MTU, number(cfg.MTU))
	size = attribute(size, unix.IFLA_TXQLEN, number(tunQueue))
	requests := []request{
		linkUp(lo.Index, nil),
		linkUp(dev.Index, size),
		newAddress(dev.Index, netip.PrefixFrom(innerAddr4, 24)),
		defaultRoute(dev.Index, unix.AF_INET),
		newAddress(dev.Index, netip.PrefixFrom(innerAddr6, 64)),
		defaultRoute(dev.Index, unix.AF_INET6),
	}
	for _, r := range requests {
		if err := r.send(); err != nil {
			return fmt.Errorf("%s: %w", r.what, err)
		}
	}
	return nil
}

// request is an rtnetlink message without its header (rtnetlink(7)).
type request struct {
	what string
	kind uint16
	body []byte
}

func linkUp(index int, attributes []byte) request {
	// struct ifinfomsg: family, pad, type, index, flags, flags to change
	b := binary.NativeEndian.AppendUint32(make([]byte, 4), uint32(index))
	b = binary.NativeEndian.AppendUint32(b, unix.IFF_UP)
	b = binary.NativeEndian.AppendUint32(b, unix.IFF_UP)
	return request{"bringing it up", unix.RTM_NEWLINK, append(b, attributes...)}
}

func newAddress(index int, p netip.Prefix) request {
	// struct ifaddrmsg: family, prefix length, flags, scope, index
	b := []byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = attribute(b, unix.IFA_LOCAL, p.Addr().AsSlice())
	b = attribute(b, unix.IFA_ADDRESS, p.Addr().AsSlice())
	return request{fmt.Sprint("adding ", p), unix.RTM_NEWADDR, b}
}

func defaultRoute(index int, family byte) request {
	// struct rtmsg: family, destination and source length, TOS, table, protocol,
	// scope, type, flags
	b := []byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	b = attribute(b, unix.RTA_OIF, number(uint32(index)))
	return request{"adding a default route", unix.RTM_NEWROUTE, b}
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// attribute appends a value, and zeros up to a multiple of 4 bytes.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// send sends the request and waits for the kernel's answer.
func (r *request) send() error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	// struct nlmsghdr: length, type, flags, sequence number, port
	m := number(uint32(unix.SizeofNlMsghdr + len(r.body)))
	m = binary.NativeEndian.AppendUint16(m, r.kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	m = append(m, 1, 0, 0, 0, 0, 0, 0, 0)
	if err := unix.Sendto(s, append(m, r.body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
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
	// struct nlmsgerr: a negative errno, 0 for success
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
