// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const (
	receiving = "kernel to netstack"
	sending   = "netstack to kernel"
)

// fifoPackets is how many packets qdisc/fifo may hold.
const fifoPackets = 1000

// A mode is a way to put netstack on a link.
type mode struct {
	name    string
	gro     bool // gVisor's
	gso     bool // gVisor's
	hostGSO bool // fdbased hands super-packets to the kernel
	large   bool // fdbased reads into few large buffers
	trust   bool // RXChecksumOffload
	queue   int  // packets in qdisc/fifo, 0 for none
	offload bool // endpoint.New around the link
	raw     bool // the link is rawlink
	vnet    bool // with virtio_net_hdr, both ways
}

// super reports whether the device may carry more than its MTU at once.
func (m mode) super() bool { return m.vnet || m.hostGSO }

// A kernelLink is a link between the kernel and netstack, and the modes that say
// something about it.
type kernelLink struct {
	name               string
	open               func(*deviceConfig) (device, error)
	receiving, sending []mode
	notes              []string
}

var kernelLinks = map[string]*kernelLink{linkTUN: tunLink, linkVeth: vethLink}

// deviceConfig says what a run wants of its device.
type deviceConfig struct {
	mtu    int
	kernel netip.Addr // the kernel's address
	vnet   bool       // frames have a virtio_net_hdr
	super  bool       // and may be super-packets
}

// A device is a link for the time of one run.
type device interface {
	// options are those of fdbased that the device decides.
	options() fdbased.Options
	// config is that of rawlink, over a descriptor of rawlink's own.
	config() (*rawlink.Config, error)
	// down stops the kernel from sending, so that the stack can be taken apart in
	// peace.
	down() error
	// close removes the device. Nobody may be using its descriptor any more.
	close()
}

var kernelNotes = []string{
	"CPU/GB: CPU seconds (user and system) of the netstack process alone per GB (10^9 bytes); the kernel's sockets are another process's, but what the kernel does with a packet within the system call that sends it is the sender's",
}

func (l *lab) trials() []trial {
	var trials []trial
	add := func(direction string, modes []mode, move mover) {
		for _, m := range modes {
			checksums := verified
			if m.trust {
				checksums = trusted
			}
			trials = append(trials, trial{
				label: label{direction, m.name, checksums},
				run: func(ctx context.Context, seed uint64) (sample, error) {
					return l.run(ctx, m, move, seed)
				},
			})
		}
	}
	add(receiving, l.link.receiving, mover{l.receive, (*transfer.Host).Received, kernelResent})
	add(sending, l.link.sending, mover{l.send, (*transfer.Host).Sent, netstackResent})
	return trials
}

// A mover moves data in one direction, and counts the packets that carry it.
type mover struct {
	move   func(ctx context.Context, h *transfer.Host, seed uint64) (transfer.Result, error)
	count  func(*transfer.Host) transfer.Counts
	resent func(*transfer.Host) (segments uint64, err error) // by the sender
}

// run makes a device and a stack, moves data, and takes both apart.
func (l *lab) run(ctx context.Context, m mode, by mover, seed uint64) (s sample, err error) {
	l.port++ // the last one may linger in TIME_WAIT
	d, err := l.link.open(&deviceConfig{l.MTU, l.addrs[0], m.vnet, m.super()})
	if err != nil {
		return s, err
	}
	// fdbased does not own the descriptor: it goes after the stack.
	defer d.close()
	link, err := m.link(d, uint32(l.MTU))
	if err != nil {
		return s, err
	}
	cfg := &transfer.HostConfig{Addrs: l.addrs[1:], CongestionControl: l.control}
	if m.queue > 0 {
		cfg.QDisc = fifo.New(link, 1, m.queue)
	}
	h, err := transfer.NewHost(link, cfg)
	if err != nil {
		return s, err
	}
	defer closeHost(h, &err)
	// netstack removes a NIC under a lock that packets need: let none arrive.
	defer d.down()

	before, err := by.resent(h)
	if err != nil {
		return s, err
	}
	cpu := startClock()
	r, err := by.move(ctx, h, seed)
	if err != nil {
		return s, err
	}
	s.Gbps, s.CPUPerGB = r.Gbps(), cpu.perGB(r)
	after, err := by.resent(h)
	c := by.count(h)
	s.Packets, s.MeanBytes, s.Resent = c.Packets, c.MeanBytes(), after-before
	return s, err
}

// link is what the stack is put on.
func (m mode) link(d device, mtu uint32) (lower stack.LinkEndpoint, err error) {
	if m.raw {
		lower, err = m.rawlink(d, mtu)
	} else {
		lower, err = m.fdbased(d.options(), mtu)
	}
	if err != nil || !m.offload {
		return lower, err
	}
	return endpoint.New(lower, nil), nil
}

func (m mode) rawlink(d device, mtu uint32) (stack.LinkEndpoint, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	cfg.MTU, cfg.VnetHdr, cfg.RXChecksumOffload = mtu, m.vnet, m.trust
	return rawlink.New(cfg)
}

// smallBuffers are what fdbased reads into by default, largeBuffers what suits
// packets of 1500 bytes and super-packets: few pieces.
var (
	smallBuffers = fdbased.BufConfig
	largeBuffers = []int{2048, 65536}
)

func (m mode) fdbased(o fdbased.Options, mtu uint32) (stack.LinkEndpoint, error) {
	o.MTU, o.RXChecksumOffload, o.GRO = mtu, m.trust, m.gro
	if m.gso || m.hostGSO {
		o.GSOMaxSize, o.GVisorGSOEnabled = header.IPv4MaximumPayloadSize, m.gso
	}
	fdbased.BufConfig = smallBuffers
	if m.large {
		fdbased.BufConfig = largeBuffers
	}
	switch {
	case m.gro:
		// With a single processor fdbased flushes its GRO after every system call: after
		// a packet on a TUN, after at most 8 over RecvMMsg.
		o.ProcessorsPerChannel = max(2, runtime.GOMAXPROCS(0))
	case m.offload:
		// Packets change goroutine in the endpoint; once is enough.
		o.ProcessorsPerChannel = 1
	}
	return fdbased.New(&o)
}

// dup is a descriptor for rawlink, which closes its own.
func dup(fd int) (int, error) {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicating a descriptor: %w", err)
	}
	return fd, nil
}
