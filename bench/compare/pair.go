// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

const mtu = 1500

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// pair is two stacks joined by links with an MTU of 1500.
type pair struct {
	a, b *transfer.Host
	stop func()
}

// newChannelPair joins plain links: channel.Endpoint, one packet at a time, a
// goroutine each way.
func newChannelPair(vouched bool) (*pair, error) {
	a, b := channel.New(1024, mtu, ""), channel.New(1024, mtu, "")
	if vouched {
		a.LinkEPCapabilities = stack.CapabilityRXChecksumOffload
		b.LinkEPCapabilities = stack.CapabilityRXChecksumOffload
	}
	return newPair(a, b, func() func() { return transfer.JoinChannels(a, b) })
}

// newMemlinkPair joins memlinks under Endpoints, a goroutine each way.
func newMemlinkPair(vouched bool) (*pair, error) {
	cfg := &memlink.Config{MTU: mtu, RXChecksumOffload: vouched}
	a, b := memlink.New(cfg), memlink.New(cfg)
	return newPair(endpoint.New(a, nil), endpoint.New(b, nil), func() func() { return transfer.JoinBatches(a, b) })
}

func newPair(a, b stack.LinkEndpoint, join func() func()) (*pair, error) {
	hostA, err := transfer.NewHost(a, &transfer.HostConfig{Addrs: []netip.Addr{addrA}})
	if err != nil {
		return nil, err
	}
	hostB, err := transfer.NewHost(b, &transfer.HostConfig{Addrs: []netip.Addr{addrB}})
	if err != nil {
		hostA.Close()
		return nil, err
	}
	return &pair{a: hostA, b: hostB, stop: join()}, nil
}

func (p *pair) close() {
	p.stop()
	p.a.Close()
	p.b.Close()
}
