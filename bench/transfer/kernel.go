// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Kernel is the operating system's TCP as a Node: ordinary sockets.
type Kernel struct {
	// Address is an address of this machine (or of its network namespace).
	Address netip.Addr
	// CongestionControl is forced on every socket, as both ends of a measurement
	// should use the same. Empty means the system's default. Linux only: elsewhere
	// a name is an error.
	CongestionControl string
}

var _ Node = (*Kernel)(nil)

// Addr implements Node.
func (k *Kernel) Addr() netip.Addr { return k.Address }

// Listen implements Node.
func (k *Kernel) Listen(ctx context.Context, port uint16) (net.Listener, error) {
	lc := net.ListenConfig{Control: k.control}
	// Go listens with MPTCP where it can, which is not the TCP to be measured.
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(k.Address.String(), strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	return kernelListener{ln}, nil
}

// Dial implements Node.
func (k *Kernel) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: k.control}
	if k.Address.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(k.Address, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	return newKernelConn(conn)
}

// kernelListener accepts what newKernelConn makes of connections.
type kernelListener struct{ net.Listener }

// Accept implements net.Listener.
func (l kernelListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newKernelConn(conn)
}

func (k *Kernel) control(_, _ string, c syscall.RawConn) error {
	if k.CongestionControl == "" {
		return nil
	}
	var err error
	if ctlErr := c.Control(func(fd uintptr) {
		err = setCongestionControl(fd, k.CongestionControl)
	}); ctlErr != nil {
		return ctlErr
	}
	if err != nil {
		return fmt.Errorf("congestion control %q: %w", k.CongestionControl, err)
	}
	return nil
}
