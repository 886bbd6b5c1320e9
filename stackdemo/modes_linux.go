// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"runtime"

	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
)

const (
	receiving = "kernel to netstack"
	sending   = "netstack to kernel"
)

// A tunMode is a way to put netstack on a TUN.
type tunMode struct {
	name    string
	gro     bool // gVisor's
	trust   bool // RXChecksumOffload
	queue   int  // packets in qdisc/fifo, 0 for none
	offload bool // endpoint.New around fdbased
}

var receivingModes = []tunMode{
	{name: "fdbased"},
	// gVisor's GRO works over a TUN only where checksums are trusted: without, what it
	// merges is dropped, and the connection lives on retransmitted single segments.
	{name: "fdbased, gVisor GRO", gro: true, trust: true},
	{name: "netstack-offload, fdbased", offload: true},
	{name: "netstack-offload, fdbased", offload: true, trust: true},
}

// fdbased has GSO for sockets only; batching in qdisc/fifo is what is left on a TUN.
var sendingModes = []tunMode{
	{name: "fdbased"},
	{name: "fdbased, fifo", queue: 1000},
	{name: "netstack-offload, fdbased", offload: true},
	{name: "netstack-offload, fdbased, fifo", offload: true, queue: 1000},
}

func tunNotes() []string {
	return []string{
		"CPU/GB: CPU seconds (user and system) of the netstack process alone per GB (10^9 bytes); the kernel's sockets are another process's",
		"gVisor's own at its best: fdbased has no GSO on a TUN (fifo batches), and with its GRO next to nothing arrives unless checksums are trusted",
	}
}

func (l *lab) trials() []trial {
	var trials []trial
	add := func(direction string, modes []tunMode, move mover) {
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
	add(receiving, receivingModes, mover{l.receive, (*transfer.Host).Received})
	add(sending, sendingModes, mover{l.send, (*transfer.Host).Sent})
	return trials
}

// A mover moves data in one direction, and counts the packets that carry it.
type mover struct {
	move  func(ctx context.Context, h *transfer.Host, seed uint64) (transfer.Result, error)
	count func(*transfer.Host) transfer.Counts
}

// run makes a TUN and a stack, moves data, and takes both apart.
func (l *lab) run(ctx context.Context, m tunMode, by mover, seed uint64) (s sample, err error) {
	l.port++ // the last one may linger in TIME_WAIT
	t, err := openTUN(l.MTU, l.addrs[0])
	if err != nil {
		return s, err
	}
	// fdbased does not own the descriptor: it goes after the stack.
	defer t.close()
	link, err := m.link(t.fd, uint32(l.MTU))
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
	defer t.down()

	cpu := startClock()
	r, err := by.move(ctx, h, seed)
	if err != nil {
		return s, err
	}
	c := by.count(h)
	return sample{Gbps: r.Gbps(), CPUPerGB: cpu.perGB(r), Packets: c.Packets, MeanBytes: c.MeanBytes()}, nil
}

func (m tunMode) link(fd int, mtu uint32) (stack.LinkEndpoint, error) {
	o := &fdbased.Options{
		FDs:                []int{fd},
		MTU:                mtu,
		PacketDispatchMode: fdbased.Readv,
		RXChecksumOffload:  m.trust,
		GRO:                m.gro,
	}
	switch {
	case m.gro:
		// With a single processor fdbased flushes its GRO after every packet.
		o.ProcessorsPerChannel = max(2, runtime.GOMAXPROCS(0))
	case m.offload:
		// Packets change goroutine in the endpoint; once is enough.
		o.ProcessorsPerChannel = 1
	}
	lower, err := fdbased.New(o)
	if err != nil || !m.offload {
		return lower, err
	}
	return endpoint.New(lower, nil), nil
}
