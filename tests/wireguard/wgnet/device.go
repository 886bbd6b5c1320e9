// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.zx2c4.com/wireguard/tun"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

const (
	nicID = 1

	// defaultMTU is what wg-quick sets.
	defaultMTU = 1420
)

// Config describes a Device. Addrs is required.
type Config struct {
	// Addrs are the stack's own addresses.
	Addrs []netip.Addr
	// DNS are servers that Net asks for names, through the tunnel. Without any
	// it takes addresses only.
	DNS []netip.Addr
	// MTU is the largest packet in bytes. 0 means 1420.
	MTU int
	// RXChecksumOffload trusts the checksums of what the peers send: see the
	// package comment.
	RXChecksumOffload bool
}

// Device is a tun.Device. Its methods are safe for concurrent use.
type Device struct {
	*link  // Read, Write and BatchSize
	stack  *stack.Stack
	mtu    int
	events chan tun.Event
	once   sync.Once
}

var _ tun.Device = (*Device)(nil)

// CreateNetTUN has the signature and the meaning of its namesake in
// golang.zx2c4.com/wireguard/tun/netstack.
func CreateNetTUN(localAddresses, dnsServers []netip.Addr, mtu int) (tun.Device, *Net, error) {
	d, n, err := New(&Config{Addrs: localAddresses, DNS: dnsServers, MTU: mtu})
	if err != nil {
		return nil, nil, err // not a nil *Device in an interface
	}
	return d, n, nil
}

// New returns a device for wireguard-go and the network behind it. Closing the
// device, which wireguard-go's own Close does, ends both.
func New(cfg *Config) (*Device, *Net, error) {
	if len(cfg.Addrs) == 0 {
		return nil, nil, errors.New("wgnet: Config.Addrs is empty: give the stack an address")
	}
	d := &Device{mtu: cfg.MTU, stack: newStack(), events: make(chan tun.Event, 1)}
	if d.mtu <= 0 {
		d.mtu = defaultMTU
	}
	d.link = newLink(&memlink.Config{MTU: uint32(d.mtu), RXChecksumOffload: cfg.RXChecksumOffload})
	if err := d.configure(cfg.Addrs); err != nil {
		d.Close()
		return nil, nil, err
	}
	d.events <- tun.EventUp
	return d, &Net{stack: d.stack, dns: cfg.DNS}, nil
}

// newStack makes what wireguard-go's own tun/netstack makes.
func newStack() *stack.Stack {
	return stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		HandleLocal: true,
	})
}

func (d *Device) configure(addrs []netip.Addr) error {
	sack := tcpip.TCPSACKEnabled(true)
	if err := d.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		return fmt.Errorf("wgnet: enabling SACK: %v", err)
	}
	if err := d.stack.CreateNIC(nicID, endpoint.New(d.link, nil)); err != nil {
		return fmt.Errorf("wgnet: making the NIC: %v", err)
	}
	for _, a := range addrs {
		full, protocol := fullAddress(netip.AddrPortFrom(a, 0))
		address := tcpip.ProtocolAddress{Protocol: protocol, AddressWithPrefix: full.Addr.WithPrefix()}
		if err := d.stack.AddProtocolAddress(nicID, address, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("wgnet: adding address %v: %v", a, err)
		}
	}
	d.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return nil
}

// Name implements tun.Device.
func (d *Device) Name() (string, error) { return "wgnet", nil }

// File implements tun.Device: there is none.
func (d *Device) File() *os.File { return nil }

// Events implements tun.Device.
func (d *Device) Events() <-chan tun.Event { return d.events }

// MTU implements tun.Device.
func (d *Device) MTU() (int, error) { return d.mtu, nil }

// Close implements tun.Device. It ends Read, aborts all connections, and waits for
// the stack. It may be called several times, not from Write.
func (d *Device) Close() error {
	d.once.Do(func() {
		d.link.Close()
		d.stack.Destroy()
		close(d.events)
	})
	return nil
}

// Stack returns the stack, for what Net does not offer.
func (d *Device) Stack() *stack.Stack { return d.stack }

// fullAddress is a as netstack has it, and its network protocol. No address at all
// is that of any local one, of IPv6.
func fullAddress(a netip.AddrPort) (tcpip.FullAddress, tcpip.NetworkProtocolNumber) {
	addr := a.Addr().Unmap()
	full := tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFromSlice(addr.AsSlice()), Port: a.Port()}
	if addr.Is4() {
		return full, ipv4.ProtocolNumber
	}
	return full, ipv6.ProtocolNumber
}
