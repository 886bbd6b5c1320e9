// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

// channelQueue holds more packets than a send buffer has: a full channel drops.
const channelQueue = 16 << 10

// A memoryPair makes two links that are joined in memory; stop ends the joint.
type memoryPair func() (a, b stack.LinkEndpoint, stop func())

func measureMemory(ctx context.Context, o *options, stderr io.Writer) (*report, error) {
	trials, err := o.only(memoryTrials(o))
	if err != nil {
		return nil, err
	}
	stop, err := o.profile()
	if err != nil {
		return nil, err
	}
	defer stop()
	fmt.Fprintf(stderr, "stackdemo: two stacks over memory, %d rounds of %d runs of %v\n", o.Rounds, len(trials), o.Duration)
	c := newCollector(o.Rounds, stderr)
	if err := rounds(ctx, trials, o.Rounds, c.emit); err != nil {
		return nil, err
	}
	r := newReport("memory", o, c)
	r.CongestionControl = "cubic"
	r.Notes = append(r.Notes,
		"CPU/GB: CPU seconds (user and system) of the whole process, which is both stacks and the link, per GB (10^9 bytes)")
	r.Notes = append(r.Notes, commonNotes...)
	return r, nil
}

func memoryTrials(o *options) []trial {
	mtu := uint32(o.MTU)
	modes := []struct {
		mode, checksums string
		pair            memoryPair
	}{
		{"channel", verified, channelPair(mtu, stack.GSONotSupported)},
		{"channel, gVisor GSO", verified, channelPair(mtu, stack.GVisorGSOSupported)},
		{"netstack-offload, memlink", verified, batchPair(mtu, false)},
		{"netstack-offload, memlink", trusted, batchPair(mtu, true)},
	}
	var trials []trial
	for _, m := range modes {
		trials = append(trials, trial{
			label: label{"netstack to netstack", m.mode, m.checksums},
			run: func(ctx context.Context, seed uint64) (sample, error) {
				return runMemory(ctx, m.pair, o, seed)
			},
		})
	}
	return trials
}

func channelPair(mtu uint32, gso stack.SupportedGSO) memoryPair {
	return func() (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		a, b := channel.New(channelQueue, mtu, ""), channel.New(channelQueue, mtu, "")
		a.SupportedGSOKind, b.SupportedGSOKind = gso, gso
		return a, b, transfer.JoinChannels(a, b)
	}
}

func batchPair(mtu uint32, trust bool) memoryPair {
	return func() (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
		cfg := &memlink.Config{MTU: mtu, RXChecksumOffload: trust}
		a, b := memlink.New(cfg), memlink.New(cfg)
		return endpoint.New(a, nil), endpoint.New(b, nil), transfer.JoinBatches(a, b)
	}
}

// runMemory sends from one stack to the other.
func runMemory(ctx context.Context, pair memoryPair, o *options, seed uint64) (s sample, err error) {
	linkA, linkB, stop := pair()
	defer stop()
	addrs := addresses(o.IPv6)
	a, err := transfer.NewHost(linkA, &transfer.HostConfig{Addrs: addrs[:1]})
	if err != nil {
		return s, err
	}
	defer closeHost(a, &err)
	b, err := transfer.NewHost(linkB, &transfer.HostConfig{Addrs: addrs[1:]})
	if err != nil {
		return s, err
	}
	defer closeHost(b, &err)

	cpu := startClock()
	r, err := transfer.Between(ctx, a, b, o.transfer(seed))
	if err != nil {
		return s, err
	}
	s.Gbps, s.CPUPerGB = r.Gbps(), cpu.perGB(r)
	got := b.Received()
	s.Packets, s.MeanBytes = got.Packets, got.MeanBytes()
	s.Resent, err = netstackResent(a)
	return s, err
}

// netstackResent is how many TCP segments the host has sent again.
func netstackResent(h *transfer.Host) (uint64, error) {
	return h.Stack().Stats().TCP.Retransmits.Value(), nil
}

// closeHost reports a stack that does not stop, unless there is a worse error.
func closeHost(h *transfer.Host, err *error) {
	if closeErr := h.Close(); *err == nil {
		*err = closeErr
	}
}

// addresses are those of the two ends: the kernel's (or the first stack's) and
// netstack's. They are private, and exist only inside the demo.
func addresses(v6 bool) []netip.Addr {
	if v6 {
		return []netip.Addr{netip.MustParseAddr("fd00:99::1"), netip.MustParseAddr("fd00:99::2")}
	}
	return []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")}
}
