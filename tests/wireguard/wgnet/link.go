// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet

import (
	"golang.zx2c4.com/wireguard/device"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

// link is a memlink whose Read gives wireguard-go no more than one UDP message
// should hold.
//
// wireguard-go makes one message with UDP_SEGMENT of consecutive packets from one
// Read, as long as it is no larger than a UDP datagram can be, 65507 bytes. With the
// packets that netstack makes at an MTU of 1420 that is 46 packets, 65504 bytes. But
// a device, the loopback too, takes 65535 bytes with all headers; Linux takes apart
// what is larger, and a receiver on this machine, or in a container on it, then
// gets 46 datagrams by 46 system calls. With 45 it gets them by one.
type link struct {
	*memlink.Link
	perMessage int
	gsoMaxSize uint32
}

// outerHeaders are Ethernet, IPv6 and UDP.
const outerHeaders = header.EthernetMinimumSize + header.IPv6MinimumSize + header.UDPMinimumSize

func newLink(cfg *memlink.Config) *link {
	const maxDevice = 65535
	n := max(1, (maxDevice-outerHeaders)/(int(cfg.MTU)+device.MessageTransportSize))
	l := &link{Link: memlink.New(cfg), perMessage: n}
	l.gsoMaxSize = min(l.Link.GSOMaxSize(), gsoMaxSize(int(cfg.MTU), n))
	return l
}

// gsoMaxSize is what has netstack make super-packets of n segments, not of n and a
// few: it leaves room in each for headers of its largest size, and in each segment
// for 40 bytes of TCP options.
func gsoMaxSize(mtu, n int) uint32 {
	const options = 40
	segment := max(1, mtu-header.IPv4MinimumSize-header.TCPMinimumSize-options)
	return uint32(n*segment + header.TCPTotalHeaderMaximumSize + 1)
}

// GSOMaxSize implements stack.GSOEndpoint.
func (l *link) GSOMaxSize() uint32 { return l.gsoMaxSize }

// Read implements tun.Device.
func (l *link) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return l.Link.Read(bufs[:min(len(bufs), l.perMessage)], sizes, offset)
}
