// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Net is the network behind a Device: it makes connections of the Device's stack.
// Its methods have the names and meanings of those of tun/netstack's Net, and are
// safe for concurrent use. When the Device is closed they fail, and so do the
// connections.
type Net struct {
	stack *stack.Stack
	dns   []netip.Addr
}

// Dial is DialContext without a context.
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.DialContext(context.Background(), network, address)
}

// DialContext connects as net.Dialer's does: network is tcp, udp or ping, or one
// of these with 4 or 6 behind it, address host:port, for ping a host only. A name is
// looked up and its addresses are tried one after the other.
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := n.dial(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return conn, nil
}

func (n *Net) dial(ctx context.Context, network, address string) (net.Conn, error) {
	kind, version := network, byte(0)
	if end := len(network) - 1; end > 0 && (network[end] == '4' || network[end] == '6') {
		kind, version = network[:end], network[end]
	}
	host, port, err := split(kind, address)
	if err != nil {
		return nil, err
	}
	addrs, err := n.lookup(ctx, host, version)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("wgnet: %s has no address for %s", host, network)
	for _, a := range addrs {
		var conn net.Conn
		if conn, err = n.dialOne(ctx, kind, netip.AddrPortFrom(a, port)); err == nil || ctx.Err() != nil {
			return conn, err
		}
	}
	return nil, err
}

func split(kind, address string) (host string, port uint16, err error) {
	switch kind {
	case "ping":
		return address, 0, nil
	case "tcp", "udp":
	default:
		return "", 0, net.UnknownNetworkError(kind)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("wgnet: port %q is no number from 0 to 65535", service)
	}
	return host, uint16(number), nil
}

func (n *Net) dialOne(ctx context.Context, kind string, to netip.AddrPort) (net.Conn, error) {
	switch kind {
	case "tcp":
		return untyped(n.DialContextTCPAddrPort(ctx, to))
	case "udp":
		return untyped(n.DialUDPAddrPort(netip.AddrPort{}, to))
	}
	return n.DialPing(to.Addr())
}

// untyped makes no interface of a nil connection.
func untyped[C net.Conn](conn C, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// DialContextTCPAddrPort connects to an address.
func (n *Net) DialContextTCPAddrPort(ctx context.Context, to netip.AddrPort) (*gonet.TCPConn, error) {
	full, protocol := fullAddress(to)
	return gonet.DialContextTCP(ctx, n.stack, full, protocol)
}

// DialContextTCP connects to an address.
func (n *Net) DialContextTCP(ctx context.Context, to *net.TCPAddr) (*gonet.TCPConn, error) {
	return n.DialContextTCPAddrPort(ctx, to.AddrPort())
}

// DialTCPAddrPort connects to an address.
func (n *Net) DialTCPAddrPort(to netip.AddrPort) (*gonet.TCPConn, error) {
	return n.DialContextTCPAddrPort(context.Background(), to)
}

// DialTCP connects to an address.
func (n *Net) DialTCP(to *net.TCPAddr) (*gonet.TCPConn, error) {
	return n.DialTCPAddrPort(to.AddrPort())
}

// ListenTCPAddrPort listens; port 0 means any.
func (n *Net) ListenTCPAddrPort(on netip.AddrPort) (*gonet.TCPListener, error) {
	full, protocol := fullAddress(on)
	return gonet.ListenTCP(n.stack, full, protocol)
}

// ListenTCP listens; nil means any port of any address.
func (n *Net) ListenTCP(on *net.TCPAddr) (*gonet.TCPListener, error) {
	return n.ListenTCPAddrPort(on.AddrPort())
}

// DialUDPAddrPort makes a socket at local, if that is valid or has a port, which
// sends to and receives from remote, if that is or has.
func (n *Net) DialUDPAddrPort(local, remote netip.AddrPort) (*gonet.UDPConn, error) {
	var from, to *tcpip.FullAddress
	full, protocol := fullAddress(local)
	if local != (netip.AddrPort{}) {
		from = &full
	}
	if remote != (netip.AddrPort{}) {
		full, of := fullAddress(remote)
		to, protocol = &full, of
	}
	return gonet.DialUDP(n.stack, from, to, protocol)
}

// DialUDP is DialUDPAddrPort with nil for what is not valid.
func (n *Net) DialUDP(local, remote *net.UDPAddr) (*gonet.UDPConn, error) {
	return n.DialUDPAddrPort(local.AddrPort(), remote.AddrPort())
}

// ListenUDPAddrPort makes a socket that takes datagrams from anywhere.
func (n *Net) ListenUDPAddrPort(on netip.AddrPort) (*gonet.UDPConn, error) {
	return n.DialUDPAddrPort(on, netip.AddrPort{})
}

// ListenUDP makes a socket that takes datagrams from anywhere.
func (n *Net) ListenUDP(on *net.UDPAddr) (*gonet.UDPConn, error) {
	return n.ListenUDPAddrPort(on.AddrPort())
}

// DialPing makes a socket for echo requests: what is written and read are ICMP
// messages from the type on, whose identifier the stack chooses.
func (n *Net) DialPing(to netip.Addr) (net.Conn, error) {
	full, protocol := fullAddress(netip.AddrPortFrom(to, 0))
	transport := icmp.ProtocolNumber4
	if to.Is6() {
		transport = icmp.ProtocolNumber6
	}
	var wq waiter.Queue
	ep, err := n.stack.NewEndpoint(transport, protocol, &wq)
	if err != nil {
		return nil, errors.New(err.String())
	}
	if err := ep.Connect(full); err != nil {
		ep.Close()
		return nil, errors.New(err.String())
	}
	return gonet.NewUDPConn(&wq, ep), nil
}
