// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/tun/netstack"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/netstack-offload/netstack-offload/bench/memory"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// wireguardDevices joins two of wireguard-go's tun/netstack devices by what its
// engine does with them, Read and Write.
func wireguardDevices(cfg *memory.Config) (*memory.Pair, error) {
	addrs := cfg.Addrs()
	var devices [2]*device
	var nodes [2]*wireguardNode
	for i := range devices {
		dev, net, err := netstack.CreateNetTUN(addrs[i:i+1], nil, memory.MTU)
		if err != nil {
			if i == 1 {
				devices[0].Close()
			}
			return nil, err
		}
		devices[i] = &device{Device: dev}
		nodes[i] = &wireguardNode{net, addrs[i]}
	}
	stop := transfer.JoinBatches(devices[0], devices[1])
	return &memory.Pair{A: nodes[0], B: nodes[1], Close: func() {
		devices[0].settle(devices[1])
		stop()
	}}, nil
}

// device is a tun.Device as a transfer.BatchLink.
type device struct {
	tun.Device
	read atomic.Int64
}

func (d *device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := d.Device.Read(bufs, sizes, offset)
	d.read.Add(1)
	return n, err
}

func (*device) MTU() uint32 { return memory.MTU }
func (d *device) Close()    { d.Device.Close() }

// settle waits until two devices are silent, for a second at most: one that is
// closed while its stack sends panics.
func (d *device) settle(other *device) {
	const silence = 20 * time.Millisecond
	seen := int64(-1)
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(silence) {
		now := d.read.Load() + other.read.Load()
		if now == seen {
			return
		}
		seen = now
	}
}

// wireguardNode is the stack of a tun/netstack device as a transfer.Node.
type wireguardNode struct {
	*netstack.Net
	addr netip.Addr
}

func (n *wireguardNode) Addr() netip.Addr { return n.addr }

func (n *wireguardNode) Listen(_ context.Context, port uint16) (net.Listener, error) {
	ln, err := n.ListenTCPAddrPort(netip.AddrPortFrom(n.addr, port))
	if err != nil {
		return nil, err
	}
	return &listener{ln}, nil
}

func (n *wireguardNode) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, err := n.DialContextTCPAddrPort(ctx, to)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// listener's Close ends a pending Accept, which gonet's leaves waiting.
type listener struct{ *gonet.TCPListener }

func (l *listener) Close() error {
	l.Shutdown()
	return l.TCPListener.Close()
}
