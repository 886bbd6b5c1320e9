// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// NICID is the identity of a Host's only NIC.
const NICID tcpip.NICID = 1

// closeLimit is how long Host.Close waits for netstack.
const closeLimit = 10 * time.Second

// HostConfig says what a Host is made of. Addrs is required.
type HostConfig struct {
	// Addrs are the host's addresses, IPv4 or IPv6. Everything else is on the link.
	Addrs []netip.Addr
	// QDisc queues between the stack and the link; nil means that the stack writes
	// to the link itself. The host closes it.
	QDisc stack.QueueingDiscipline
	// CongestionControl is "cubic" or "reno". Default "cubic".
	CongestionControl string
	// Buffer is the default size of send and receive buffers in bytes; netstack
	// tunes them up to twice of it. Default 4 MiB.
	Buffer int
}

// Host is a netstack of its own with IPv4, IPv6, ARP, TCP, UDP and ICMP, one NIC
// and a default route. Its settings are fixed, so that two hosts differ in their link
// alone. It is a Node, and safe for concurrent use.
type Host struct {
	stack *stack.Stack
	addr  netip.Addr
}

var _ Node = (*Host)(nil)

// NewHost makes a host over link. The stack attaches link now and closes it in
// Close; where there is more to end (a file descriptor, a pump), that stays the
// caller's. On an error link and qdisc are closed too.
func NewHost(link stack.LinkEndpoint, cfg *HostConfig) (*Host, error) {
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol,
			// No duplicate address detection: its second of silence would be measured.
			ipv6.NewProtocolWithOptions(ipv6.Options{}),
			arp.NewProtocol,
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	h := &Host{stack: s}
	if err := h.configure(link, cfg); err != nil {
		h.Close()
		return nil, fmt.Errorf("transfer: making a host: %w", err)
	}
	return h, nil
}

func (h *Host) configure(link stack.LinkEndpoint, cfg *HostConfig) error {
	if err := h.stack.CreateNICWithOptions(NICID, link, stack.NICOptions{QDisc: cfg.QDisc}); err != nil {
		return fmt.Errorf("NIC: %v", err)
	}
	if len(cfg.Addrs) == 0 {
		return fmt.Errorf("HostConfig.Addrs is empty")
	}
	h.addr = cfg.Addrs[0]
	for _, a := range cfg.Addrs {
		addr := tcpip.ProtocolAddress{
			Protocol:          protocolOf(a),
			AddressWithPrefix: tcpip.AddrFromSlice(a.AsSlice()).WithPrefix(),
		}
		if err := h.stack.AddProtocolAddress(NICID, addr, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("address %v: %v", a, err)
		}
	}
	h.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: NICID},
		{Destination: header.IPv6EmptySubnet, NIC: NICID},
	})
	return h.tune(cfg)
}

// tune fixes what would otherwise make two measurements differ.
func (h *Host) tune(cfg *HostConfig) error {
	control := tcpip.CongestionControlOption(cfg.CongestionControl)
	if control == "" {
		control = "cubic"
	}
	buffer := cfg.Buffer
	if buffer <= 0 {
		buffer = 4 << 20
	}
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: buffer, Max: 2 * buffer}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: buffer, Max: 2 * buffer}
	for _, option := range []tcpip.SettableTransportProtocolOption{&control, &sack, &moderate, &send, &receive} {
		if err := h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("%T: %v", option, err)
		}
	}
	return nil
}

// Stack is the host's stack, for what Host does not offer.
func (h *Host) Stack() *stack.Stack { return h.stack }

// Addr implements Node.
func (h *Host) Addr() netip.Addr { return h.addr }

// Listen implements Node.
func (h *Host) Listen(_ context.Context, port uint16) (net.Listener, error) {
	ln, err := gonet.ListenTCP(h.stack, fullAddress(netip.AddrPortFrom(h.addr, port)), protocolOf(h.addr))
	if err != nil {
		return nil, fmt.Errorf("transfer: %w", err)
	}
	return &listener{ln}, nil
}

// Dial implements Node.
func (h *Host) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, err := gonet.DialContextTCP(ctx, h.stack, fullAddress(to), protocolOf(to.Addr()))
	if err != nil {
		return nil, fmt.Errorf("transfer: dialing %v: %w", to, err)
	}
	return conn, nil
}

// Close aborts what connections are left, removes the NIC, which closes the link,
// and waits for netstack's goroutines; it gives up, leaving them, after 10 s. Call it
// once, not from a delivery.
func (h *Host) Close() error {
	done := make(chan struct{})
	go func() {
		h.stack.Destroy()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(closeLimit):
		return fmt.Errorf("transfer: the stack did not stop within %v", closeLimit)
	}
}

// Counts are packets that passed a NIC, and their bytes: from the network header on,
// and for what is sent over Ethernet with its header too.
type Counts struct {
	Packets, Bytes uint64
}

// MeanBytes is the mean size of a packet in bytes.
func (c Counts) MeanBytes() float64 {
	if c.Packets == 0 {
		return 0
	}
	return float64(c.Bytes) / float64(c.Packets)
}

// Received counts what the link has handed up: merged packets count as one.
func (h *Host) Received() Counts {
	rx := h.stack.Stats().NICs.Rx
	return Counts{Packets: rx.Packets.Value(), Bytes: rx.Bytes.Value()}
}

// Sent counts what the stack has handed down: super-packets count as one.
func (h *Host) Sent() Counts {
	tx := h.stack.Stats().NICs.Tx
	return Counts{Packets: tx.Packets.Value(), Bytes: tx.Bytes.Value()}
}

// listener's Close ends a pending Accept, which gonet's leaves waiting.
type listener struct {
	*gonet.TCPListener
}

func (l *listener) Close() error {
	l.Shutdown()
	return l.TCPListener.Close()
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: NICID, Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}
