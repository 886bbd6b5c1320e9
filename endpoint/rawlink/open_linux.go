// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// OpenTUN opens a TUN device and makes it if there is none of that name; an empty
// name has the kernel choose one (Config.Name). It returns a Config for New with
// FDs, Name, MTU, Ethernet, VnetHdr and UseRead filled in. The descriptors are the caller's
// until New takes them. A device that was made lives as long as its descriptors.
//
// It needs CAP_NET_ADMIN in the network namespace, unless the device exists and
// belongs to the user. The interface is not brought up.
func OpenTUN(name string, opts *OpenOptions) (*Config, error) {
	return openTUN(name, unix.IFF_TUN, opts)
}

// OpenTAP does the same for a TAP device. Config.Address stays empty, which makes
// New choose one: the stack is not the TAP interface, but a station on its wire.
func OpenTAP(name string, opts *OpenOptions) (*Config, error) {
	return openTUN(name, unix.IFF_TAP, opts)
}

func openTUN(name string, kind uint16, opts *OpenOptions) (*Config, error) {
	o := opts.orDefault()
	cfg := &Config{Name: name, Ethernet: kind == unix.IFF_TAP, VnetHdr: !o.NoVnetHdr, UseRead: true}
	for range o.Queues {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			cfg.closeAll()
			return nil, fmt.Errorf("rawlink: opening /dev/net/tun: %w", err)
		}
		cfg.FDs = append(cfg.FDs, fd)
		if cfg.Name, err = becomeQueue(fd, cfg.Name, kind, &o); err != nil {
			cfg.closeAll()
			return nil, err
		}
	}
	if err := cfg.askMTU(); err != nil {
		cfg.closeAll()
		return nil, err
	}
	return cfg, nil
}

func (o *OpenOptions) orDefault() OpenOptions {
	var out OpenOptions
	if o != nil {
		out = *o
	}
	if out.Queues <= 0 {
		out.Queues = 1
	}
	if out.ReceiveBuffer <= 0 {
		out.ReceiveBuffer = defaultReceiveBuffer
	}
	return out
}

func (c *Config) closeAll() {
	for _, fd := range c.FDs {
		unix.Close(fd)
	}
	c.FDs = nil
}

// becomeQueue attaches fd to the device and returns its name.
func becomeQueue(fd int, name string, kind uint16, o *OpenOptions) (string, error) {
	flags := kind | unix.IFF_NO_PI
	if !o.NoVnetHdr {
		flags |= unix.IFF_VNET_HDR
	}
	if o.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return name, fmt.Errorf("rawlink: %q cannot be a device's name: at most 15 bytes", name)
	}
	ifr.SetUint16(flags)
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	if errors.Is(err, unix.EINVAL) && o.Queues == 1 {
		// A device that was made with several queues takes no other kind.
		ifr.SetUint16(flags | unix.IFF_MULTI_QUEUE)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		return name, fmt.Errorf("rawlink: attaching to the device %q: %w: is it of another kind, with one queue only, or not yours?", name, err)
	}
	return ifr.Name(), nil
}

// askMTU fills in the interface's MTU.
func (c *Config) askMTU() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("rawlink: %s: opening a socket to ask for the MTU: %w", c.Name, err)
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq(c.Name)
	if err == nil {
		err = unix.IoctlIfreq(s, unix.SIOCGIFMTU, ifr)
	}
	if err != nil {
		return fmt.Errorf("rawlink: %s: asking for the MTU: %w", c.Name, err)
	}
	c.MTU = ifr.Uint32()
	return nil
}

// OpenPacket opens AF_PACKET sockets on an interface, such as a veth. It returns a
// Config for New with FDs, Name, MTU, Ethernet, VnetHdr, RingBytes where there is no
// virtio_net_hdr, and the interface's own address filled in. The descriptors are the
// caller's until New takes them.
//
// The kernel sees the same frames: the interface should have no IP address, or
// Config.Address another MAC, or else the kernel answers too. Frames with a VLAN
// tag do not come: the kernel would hand them over without it. Without
// virtio_net_hdr (OpenOptions.NoVnetHdr) frames larger than the MTU are dropped:
// turn TSO, GSO and TX checksums off at the sender, if it is this machine.
//
// It needs CAP_NET_RAW in the network namespace.
func OpenPacket(name string, opts *OpenOptions) (*Config, error) {
	o := opts.orDefault()
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("rawlink: interface %q: %w", name, err)
	}
	cfg := &Config{
		Name:     name,
		MTU:      uint32(dev.MTU),
		Ethernet: true,
		Address:  tcpip.LinkAddress(dev.HardwareAddr),
		VnetHdr:  !o.NoVnetHdr,
	}
	if o.NoVnetHdr {
		cfg.RingBytes = defaultRing
	}
	for range o.Queues {
		// No protocol, so that it receives nothing until it is bound.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			cfg.closeAll()
			return nil, fmt.Errorf("rawlink: opening an AF_PACKET socket: %w", err)
		}
		cfg.FDs = append(cfg.FDs, fd)
		if err := bindPacket(fd, dev.Index, &o); err != nil {
			cfg.closeAll()
			return nil, fmt.Errorf("rawlink: %s: AF_PACKET socket: %w", name, err)
		}
	}
	return cfg, nil
}

func bindPacket(fd, index int, o *OpenOptions) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("PACKET_IGNORE_OUTGOING: %w", err)
	}
	if !o.NoVnetHdr {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
			return fmt.Errorf("PACKET_VNET_HDR: %w", err)
		}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, untagged()); err != nil {
		return fmt.Errorf("filtering out VLAN tags: %w", err)
	}
	// Root of a user namespace may not force it, and gets at most
	// net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.ReceiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	var all [2]byte
	binary.BigEndian.PutUint16(all[:], unix.ETH_P_ALL)
	addr := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(all[:]), Ifindex: index}
	if err := unix.Bind(fd, addr); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	return nil
}

// untagged is a filter that takes frames without a VLAN tag only
// (linux/filter.h).
func untagged() *unix.SockFprog {
	const vlanTagPresent = 0xfffff000 + 48 // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: vlanTagPresent},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
}
