// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"fmt"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

// Addresses of netstacks, and not those of the devices that their sockets are bound
// to: what is for netstack the kernel takes for somebody else's, and drops where it
// would otherwise look for a route, or answer.
const (
	stackMAC  = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x02")
	clientMAC = tcpip.LinkAddress("\x02\x00\x00\x00\x00\x01") // the proxy's that iperf3's client is at
)

// packetBuffer is what a socket may hold, in bytes: AF_PACKET drops what comes while
// it is full, and the sender is not slowed down.
const packetBuffer = 16 << 20

// packetRing is as much for a ring: the kernel doubles what a socket is given.
const packetRing = 2 * packetBuffer

// A wire is a veth pair, kernelDevice and stackDevice.
type wire struct{}

// openWire makes the pair and brings it up. Where far is not nil, stackDevice is
// there.
func openWire(r *Run, far *rtnetlink.Namespace) (*wire, error) {
	if err := rtnetlink.AddVeth(kernelDevice, stackDevice, uint32(r.MTU)); err != nil {
		return nil, err
	}
	w := &wire{}
	if err := w.configure(r, far); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *wire) configure(r *Run, far *rtnetlink.Namespace) error {
	up := func(device string) error {
		rtnetlink.UseIPv6(device, false) // no words of the kernel's own where it has no address
		if !r.Mode.Super() {
			if err := rtnetlink.OffloadsOff(device); err != nil {
				return err
			}
		}
		return rtnetlink.SetUp(device)
	}
	there := func(f func() error) error { return f() }
	if far != nil {
		there = far.Try
		if err := far.Adopt(stackDevice); err != nil {
			return err
		}
	}
	if err := there(func() error { return up(stackDevice) }); err != nil {
		return err
	}
	if err := up(kernelDevice); err != nil {
		return err
	}
	return there(func() error { return rtnetlink.WaitRunning(stackDevice) })
}

func (w *wire) close() { rtnetlink.DeleteLink(kernelDevice) }

// A veth is a wire, and a packet socket at netstack's end.
type veth struct {
	*wire
	*packetSocket
}

// openVeth makes the pair and brings it up with the kernel's address.
func openVeth(r *Run) (device, error) {
	w, err := openWire(r, nil)
	if err != nil {
		return nil, err
	}
	p, err := openPacketSocket(stackDevice, stackMAC, r.Mode.Super())
	if err != nil {
		w.close()
		return nil, err
	}
	v := &veth{w, p}
	if err := giveAddress(kernelDevice, r.Addresses()[0]); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *veth) close() {
	v.packetSocket.close()
	v.wire.close()
}

// A packetSocket is for the frames that arrive at a device.
type packetSocket struct {
	fd     int
	device string
	mac    tcpip.LinkAddress
	vnet   bool
}

func openPacketSocket(device string, mac tcpip.LinkAddress, vnet bool) (*packetSocket, error) {
	// No protocol, so that it receives nothing until it is bound to the device.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	p := &packetSocket{fd, device, mac, vnet}
	if err := p.configure(); err != nil {
		p.close()
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	return p, nil
}

func (p *packetSocket) configure() error {
	index, err := rtnetlink.Index(p.device)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return err
	}
	if p.vnet {
		if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			return err
		}
	}
	// Root of a user namespace may not force it, and gets at most net.core.rmem_max.
	if unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, packetBuffer) != nil {
		if err := unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, packetBuffer); err != nil {
			return err
		}
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network byte order
	return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: index})
}

func (p *packetSocket) options() fdbased.Options {
	return fdbased.Options{
		FDs:                []int{p.fd},
		PacketDispatchMode: fdbased.RecvMMsg,
		EthernetHeader:     true,
		Address:            p.mac,
	}
}

func (p *packetSocket) config() (*rawlink.Config, error) {
	fd, err := dup(p.fd)
	cfg := &rawlink.Config{FDs: []int{fd}, Name: p.device, Ethernet: true, Address: p.mac}
	if !p.vnet {
		cfg.RingBytes = packetRing
	}
	return cfg, err
}

// down takes the wire down, for both ends.
func (p *packetSocket) down() error { return rtnetlink.SetDown(kernelDevice) }

func (p *packetSocket) close() { unix.Close(p.fd) }
