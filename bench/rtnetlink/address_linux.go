// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rtnetlink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// AddAddress gives a device an address with its subnet. Without duplicate address
// detection an IPv6 address works at once.
func AddAddress(device string, p netip.Prefix) error {
	index, err := Index(device)
	if err != nil {
		return err
	}
	// struct ifaddrmsg: family, prefix length, flags, scope, index
	body := []byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	body = binary.NativeEndian.AppendUint32(body, uint32(index))
	body = Attribute(body, unix.IFA_LOCAL, p.Addr().AsSlice())
	body = Attribute(body, unix.IFA_ADDRESS, p.Addr().AsSlice())
	if err := Send(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return fmt.Errorf("%s: adding %v: %w", device, p.Addr(), err)
	}
	return nil
}

// Subnet is an address with the subnet that is usual here, /24 or /64.
func Subnet(addr netip.Addr) netip.Prefix {
	if addr.Is4() {
		return netip.PrefixFrom(addr, 24)
	}
	return netip.PrefixFrom(addr, 64)
}

// Route is a route by a device.
type Route struct {
	// To is where it leads; 0.0.0.0/0 and ::/0 are default routes.
	To netip.Prefix
	// Via, if valid, is a gateway, which is taken to be on the link.
	Via netip.Addr
	// AdvMSS, if not 0, is the MSS that connections announce, whatever the MTU.
	AdvMSS uint32
}

// AddRoute adds a route by a device.
func AddRoute(device string, r *Route) error {
	index, err := Index(device)
	if err != nil {
		return err
	}
	// struct rtmsg: family, destination and source length, TOS; table, protocol,
	// scope, type; flags
	body := []byte{family(r.To.Addr()), byte(r.To.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST}
	if r.Via.IsValid() {
		body = binary.NativeEndian.AppendUint32(body, unix.RTNH_F_ONLINK)
		body = Attribute(body, unix.RTA_GATEWAY, r.Via.AsSlice())
	} else {
		body = append(body, 0, 0, 0, 0)
	}
	if r.To.Bits() > 0 {
		body = Attribute(body, unix.RTA_DST, r.To.Masked().Addr().AsSlice())
	}
	body = attribute32(body, unix.RTA_OIF, uint32(index))
	if r.AdvMSS > 0 {
		body = Attribute(body, unix.RTA_METRICS, attribute32(nil, unix.RTAX_ADVMSS, r.AdvMSS))
	}
	if err := Send(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return fmt.Errorf("%s: adding a route to %v: %w", device, r.To, err)
	}
	return nil
}

// UseIPv6 says whether a device takes part in IPv6. On is not the default everywhere.
func UseIPv6(device string, on bool) error {
	disable := "1"
	if on {
		disable = "0"
	}
	return Sysctl("ipv6/conf/"+device+"/disable_ipv6", disable)
}

// Sysctl sets what a namespace has of its own under /proc/sys/net.
func Sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
