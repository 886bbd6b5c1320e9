// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const nicID = 1

// network is the stack at the TUN, and the proxy behind it.
type network struct {
	name  string
	stack *stack.Stack
	proxy *proxy
	fd    int // to close at the end, or -1

	start time.Time
	cpu   time.Duration
}

// newNetwork takes the device over.
func newNetwork(o *options, dev *rawlink.Config) (*network, error) {
	n := &network{name: o.Link, fd: -1, proxy: newProxy(o.Flows, o.UDPIdle), start: time.Now()}
	n.cpu, _ = transfer.CPUTime()
	link, err := n.newLink(o, dev)
	if err != nil {
		for _, fd := range dev.FDs {
			unix.Close(fd)
		}
		return nil, err
	}
	n.stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	if err := n.configure(link); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *network) newLink(o *options, dev *rawlink.Config) (stack.LinkEndpoint, error) {
	if o.Link == linkFdbased {
		link, err := fdbased.New(&fdbased.Options{
			FDs:                dev.FDs,
			MTU:                dev.MTU,
			PacketDispatchMode: fdbased.Readv,
		})
		if err != nil {
			return nil, err
		}
		n.fd = dev.FDs[0] // which stays ours
		return link, nil
	}
	if o.Vnet {
		n.name += ", vnet header"
	}
	link, err := rawlink.New(dev)
	if err != nil {
		return nil, err
	}
	return endpoint.New(link, nil), nil
}

// configure has the stack take every packet for its own, and answer in the name of
// everybody.
func (n *network) configure(link stack.LinkEndpoint) error {
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	control := tcpip.CongestionControlOption("cubic")
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &control} {
		if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("%T: %v", option, err)
		}
	}
	n.proxy.serve(n.stack)
	if err := n.stack.CreateNIC(nicID, link); err != nil {
		return fmt.Errorf("making the NIC: %v", err)
	}
	if err := n.stack.SetPromiscuousMode(nicID, true); err != nil {
		return fmt.Errorf("promiscuous mode: %v", err)
	}
	if err := n.stack.SetSpoofing(nicID, true); err != nil {
		return fmt.Errorf("spoofing: %v", err)
	}
	n.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return nil
}

// close ends all flows, the stack and the link.
func (n *network) close() {
	n.proxy.close()
	n.stack.Destroy()
	if n.fd >= 0 {
		unix.Close(n.fd)
	}
}

// report says what was relayed.
func (n *network) report(w io.Writer) {
	now, _ := transfer.CPUTime()
	cpu, elapsed := now-n.cpu, time.Since(n.start)
	c := &n.proxy.count
	sent, received := c.sent.Load(), c.received.Load()
	gb := float64(sent+received) / 1e9
	perGB := 0.0
	if gb > 0 {
		perGB = cpu.Seconds() / gb
	}
	fmt.Fprintf(w, "relay: %s: %d bytes from and %d to the namespace in %.2f s, %d TCP and %d UDP flows (%d refused, %d too many); CPU %.2f s, %.2f s/GB\n",
		n.name, sent, received, elapsed.Seconds(), c.tcp.Load(), c.udp.Load(), c.refused.Load(), c.limited.Load(), cpu.Seconds(), perGB)
}
