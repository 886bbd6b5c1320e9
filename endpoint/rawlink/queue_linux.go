// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// queue is one descriptor.
type queue struct {
	fd     int
	name   string // for errors
	socket bool   // recvmmsg and sendmmsg work
	domain int    // of a socket
	seq    bool   // an empty read can mean the end
	tun    bool   // TUNSETOFFLOAD works

	vnetLen int      // bytes of virtio_net_hdr, 0 without
	granted Offloads // what a TUN gives if asked

	ring *ringSource // nil without

	// reading is held by the reader for as long as it may touch fd, so that
	// whoever takes it knows that nobody reads.
	reading sync.Mutex

	// stalled: the last wait for room was in vain, so that nobody waits again
	// before a write has gone through.
	stalled atomic.Bool
}

// newQueue finds out what fd is and makes it ready.
func newQueue(fd int, cfg *Config) (*queue, error) {
	q := &queue{fd: fd, name: fmt.Sprintf("descriptor %d", fd)}
	if cfg.Name != "" {
		q.name = fmt.Sprintf("%s (descriptor %d)", cfg.Name, fd)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("rawlink: %s: not an open descriptor: %w", q.name, err)
	}
	if cfg.VnetHdr {
		q.vnetLen = cfg.VnetHdrLen
		if q.vnetLen == 0 {
			q.vnetLen = vnetHdrLen
		}
		if q.vnetLen != vnetHdrLen && q.vnetLen != vnetHdrLenMax {
			return nil, fmt.Errorf("rawlink: Config.VnetHdrLen is %d: a virtio_net_hdr has 10 or 12 bytes", q.vnetLen)
		}
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		q.socket = true
		err = q.setUpSocket(cfg)
	case unix.S_IFCHR:
		err = q.setUpTUN(cfg)
	default:
		err = fmt.Errorf("rawlink: %s is neither a socket nor a TUN or TAP", q.name)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("rawlink: %s: making it non-blocking: %w", q.name, err)
	}
	return q, nil
}

func (q *queue) setUpSocket(cfg *Config) error {
	kind, err := unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return fmt.Errorf("rawlink: %s: asking for its type: %w", q.name, err)
	}
	if kind == unix.SOCK_STREAM {
		return fmt.Errorf("rawlink: %s is a stream socket, which keeps no packet boundaries: use SOCK_SEQPACKET or SOCK_DGRAM", q.name)
	}
	q.seq = kind == unix.SOCK_SEQPACKET
	if q.domain, err = unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
		return fmt.Errorf("rawlink: %s: asking for its domain: %w", q.name, err)
	}
	if q.domain != unix.AF_PACKET {
		return nil
	}
	if kind != unix.SOCK_RAW || !cfg.Ethernet {
		return fmt.Errorf("rawlink: %s is an AF_PACKET socket: open it with SOCK_RAW and set Config.Ethernet", q.name)
	}
	if cfg.VnetHdr && q.vnetLen != vnetHdrLen {
		return fmt.Errorf("rawlink: %s is an AF_PACKET socket, whose virtio_net_hdr has 10 bytes: leave Config.VnetHdrLen 0", q.name)
	}
	on := 0
	if cfg.VnetHdr {
		on = 1
	}
	was, err := unix.GetsockoptInt(q.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR)
	if err != nil || was != on {
		if err := unix.SetsockoptInt(q.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, on); err != nil {
			return fmt.Errorf("rawlink: %s: setting PACKET_VNET_HDR to %d: %w", q.name, on, err)
		}
	}
	if cfg.Promiscuous {
		if err := q.receiveAll(); err != nil {
			return fmt.Errorf("rawlink: %s: PACKET_MR_PROMISC: %w", q.name, err)
		}
	}
	if cfg.RingBytes > 0 {
		q.ring, err = q.newRing(cfg.RingBytes, cfg.frameSize())
	}
	return err
}

// receiveAll has the interface of an AF_PACKET socket receive what is for other
// stations, until the socket is closed.
func (q *queue) receiveAll() error {
	addr, err := unix.Getsockname(q.fd)
	if err != nil {
		return err
	}
	ll, ok := addr.(*unix.SockaddrLinklayer)
	if !ok {
		return unix.EINVAL
	}
	return unix.SetsockoptPacketMreq(q.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(ll.Ifindex), Type: unix.PACKET_MR_PROMISC})
}

// forget makes nothing of what happened to the queue while nobody was attached: an
// AF_PACKET socket remembers that its interface was down until somebody is told.
func (q *queue) forget() {
	q.stalled.Store(false)
	if q.domain == unix.AF_PACKET {
		unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	}
}

// joinFanout spreads what an interface receives over its sockets, by flow, unless
// they do so already: without, each would get every frame.
func joinFanout(queues []*queue) error {
	if len(queues) < 2 || queues[0].domain != unix.AF_PACKET {
		return nil
	}
	// The kernel makes up a group number that is unique in the namespace.
	arg := unix.PACKET_FANOUT_FLAG_UNIQUEID<<16 | unix.PACKET_FANOUT_HASH<<16
	for _, q := range queues {
		if group, err := unix.GetsockoptInt(q.fd, unix.SOL_PACKET, unix.PACKET_FANOUT); err == nil && group != 0 {
			return nil
		}
		if err := unix.SetsockoptInt(q.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, arg); err != nil {
			return fmt.Errorf("rawlink: %s: joining a fanout group: %w", q.name, err)
		}
		group, err := unix.GetsockoptInt(q.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
		if err != nil {
			return fmt.Errorf("rawlink: %s: asking for its fanout group: %w", q.name, err)
		}
		arg = group&0xffff | unix.PACKET_FANOUT_HASH<<16
	}
	return nil
}

// setUpTUN checks that the device is what the Config says, and finds out what it
// can give. A sandbox may not let it ask; then the Config is believed.
func (q *queue) setUpTUN(cfg *Config) error {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(q.fd, unix.TUNGETIFF, ifr); err != nil {
		if errors.Is(err, unix.EBADFD) {
			return fmt.Errorf("rawlink: %s is no queue of a TUN yet: call TUNSETIFF, or use OpenTUN: %w", q.name, err)
		}
		if errors.Is(err, unix.ENOTTY) {
			return fmt.Errorf("rawlink: %s is a device, but no TUN or TAP: %w", q.name, err)
		}
		return nil
	}
	flags := ifr.Uint16()
	switch {
	case flags&unix.IFF_TAP != 0 != cfg.Ethernet:
		return fmt.Errorf("rawlink: %s: Config.Ethernet is %v, and should be true for a TAP and false for a TUN", q.name, cfg.Ethernet)
	case flags&unix.IFF_NO_PI == 0:
		return fmt.Errorf("rawlink: %s puts packet information in front of packets: open it with IFF_NO_PI", q.name)
	case flags&unix.IFF_VNET_HDR != 0 != cfg.VnetHdr:
		return fmt.Errorf("rawlink: %s: Config.VnetHdr is %v, but it was opened the other way: IFF_VNET_HDR decides", q.name, cfg.VnetHdr)
	}
	if !cfg.VnetHdr {
		return nil
	}
	if n, err := unix.IoctlGetInt(q.fd, unix.TUNGETVNETHDRSZ); err == nil && cfg.VnetHdrLen == 0 {
		q.vnetLen = n
	}
	if q.vnetLen != vnetHdrLen && q.vnetLen != vnetHdrLenMax {
		return fmt.Errorf("rawlink: %s has a virtio_net_hdr of %d bytes: set it to 10 or 12 with TUNSETVNETHDRSZ", q.name, q.vnetLen)
	}
	q.probe()
	return nil
}

// probe finds the richest set of offloads that the device takes, and leaves it
// with none.
func (q *queue) probe() {
	for _, want := range ladder {
		if unix.IoctlSetInt(q.fd, unix.TUNSETOFFLOAD, int(want)) == nil {
			q.granted, q.tun = want, true
			break
		}
	}
	q.request(false)
}

// request asks a TUN for all offloads that it grants, or for none. They are the
// device's: all queues have the same.
func (q *queue) request(super bool) {
	if !q.tun {
		return
	}
	var want Offloads
	if super {
		want = q.granted
	}
	unix.IoctlSetInt(q.fd, unix.TUNSETOFFLOAD, int(want))
}
