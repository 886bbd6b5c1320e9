// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// Net is what wgnet.Net and wireguard-go's own netstack.Net have in common.
type Net interface {
	DialContextTCPAddrPort(ctx context.Context, to netip.AddrPort) (*gonet.TCPConn, error)
	ListenTCPAddrPort(on netip.AddrPort) (*gonet.TCPListener, error)
}

// Node makes either of them an end of a transfer.
type Node struct {
	Net     Net
	Address netip.Addr
}

var _ transfer.Node = (*Node)(nil)

// Addr implements transfer.Node.
func (n *Node) Addr() netip.Addr { return n.Address }

// Dial implements transfer.Node.
func (n *Node) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := n.Net.DialContextTCPAddrPort(ctx, to)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Listen implements transfer.Node.
func (n *Node) Listen(_ context.Context, port uint16) (net.Listener, error) {
	ln, err := n.Net.ListenTCPAddrPort(netip.AddrPortFrom(n.Address, port))
	if err != nil {
		return nil, err
	}
	return &listener{ln}, nil
}

// listener's Close ends a pending Accept, which gonet's leaves waiting.
type listener struct{ *gonet.TCPListener }

func (l *listener) Close() error {
	l.Shutdown()
	return l.TCPListener.Close()
}
