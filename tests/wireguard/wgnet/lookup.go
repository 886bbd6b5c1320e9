// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
)

// LookupHost is LookupContextHost without a context.
func (n *Net) LookupHost(host string) ([]string, error) {
	return n.LookupContextHost(context.Background(), host)
}

// LookupContextHost returns the addresses of a host, which may be an address
// itself. It asks the servers of Config.DNS, through the tunnel; names in this
// machine's hosts file come from there, as with Go's own resolver.
func (n *Net) LookupContextHost(ctx context.Context, host string) ([]string, error) {
	addrs, err := n.lookup(ctx, host, 0)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(addrs))
	for i, a := range addrs {
		names[i] = a.String()
	}
	return names, nil
}

// lookup returns the addresses of a version, '4' or '6', or of both.
func (n *Net) lookup(ctx context.Context, host string, version byte) ([]netip.Addr, error) {
	network := "ip"
	if version != 0 {
		network += string(version)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Is4() && version == '6' || a.Is6() && version == '4' {
			return nil, fmt.Errorf("wgnet: %s has no address for %s", host, network)
		}
		return []netip.Addr{a}, nil
	}
	if len(n.dns) == 0 {
		return nil, &net.DNSError{Err: "no server: set Config.DNS", Name: host, IsNotFound: true}
	}
	// A dot at the end: this machine's search list means nothing in the tunnel.
	return n.resolver().LookupNetIP(ctx, network, strings.TrimSuffix(host, ".")+".")
}

// resolver is Go's, with our servers in turn in place of the machine's.
func (n *Net) resolver() *net.Resolver {
	var turn atomic.Uint32
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := n.dns[int(turn.Add(1)-1)%len(n.dns)]
			return n.dialOne(ctx, strings.TrimRight(network, "46"), netip.AddrPortFrom(server, 53))
		},
	}
}
