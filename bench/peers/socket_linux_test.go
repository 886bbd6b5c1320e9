// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/memory"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const (
	fifoPackets = 1024
	// gsoPackets is the queue behind gVisor's GSO, which comes in bursts of a whole
	// send buffer: after losing much of one its transfers may stand still.
	gsoPackets = 8192
	// socketBuffer is what a socketpair may hold, as far as the system allows.
	socketBuffer = 4 << 20
)

func init() {
	// fdbased reads every packet into views of these sizes, by default five of them:
	// this is faster, for all that it does.
	fdbased.BufConfig = []int{2048, 65536}
}

// socketSides are links over a pair of sockets that keep packets apart: system calls,
// but no network device. Each sends through a fifo queue, which lets it write batches.
func socketSides() []side {
	verified := memory.Config{Queue: fifoPackets}
	trusted := memory.Config{Queue: fifoPackets, Trusted: true}
	gvisor := memory.Config{Queue: gsoPackets, Trusted: true, MayStall: true}
	return []side{
		{"socketpair", "none", verified, plainSockets},
		{"socketpair", "ours", verified, ourSockets},
		{"socketpair", "none", trusted, plainSockets},
		{"socketpair", "gvisor", gvisor, gvisorSockets},
		{"socketpair", "ours", trusted, ourSockets},
	}
}

func socketPair() ([2]int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fds, err
	}
	for _, fd := range fds {
		for _, option := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, socketBuffer)
		}
	}
	return fds, nil
}

// plainSockets is fdbased without offloads.
func plainSockets(cfg *memory.Config) (*memory.Pair, error) {
	return fdbasedSockets(cfg, fdbased.Options{})
}

// gvisorSockets is fdbased with gVisor's GRO, and GSO in the transport.
func gvisorSockets(cfg *memory.Config) (*memory.Pair, error) {
	return fdbasedSockets(cfg, fdbased.Options{GRO: true, GVisorGSOEnabled: true, GSOMaxSize: 65535})
}

func fdbasedSockets(cfg *memory.Config, o fdbased.Options) (*memory.Pair, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, err
	}
	closeAll := func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	var links [2]stack.LinkEndpoint
	for i, fd := range fds {
		o.FDs, o.MTU, o.RXChecksumOffload = []int{fd}, memory.MTU, cfg.Trusted
		o.PacketDispatchMode = fdbased.RecvMMsg
		if links[i], err = fdbased.New(&o); err != nil {
			closeAll()
			return nil, err
		}
	}
	p, err := memory.NewPair(cfg, links, func() func() { return closeAll })
	if err != nil {
		closeAll()
	}
	return p, err
}

// ourSockets is an Endpoint over rawlink.
func ourSockets(cfg *memory.Config) (*memory.Pair, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, err
	}
	var links [2]stack.LinkEndpoint
	for i, fd := range fds {
		link, err := rawlink.New(&rawlink.Config{FDs: []int{fd}, MTU: memory.MTU, RXChecksumOffload: cfg.Trusted})
		if err != nil {
			for _, fd := range fds[i:] {
				unix.Close(fd)
			}
			if i == 1 {
				links[0].Close()
			}
			return nil, err
		}
		links[i] = endpoint.New(link, nil)
	}
	return memory.NewPair(cfg, links, func() func() { return func() {} })
}
