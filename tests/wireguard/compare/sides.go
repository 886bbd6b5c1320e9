// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"sync"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/netstack-offload/netstack-offload/tests/wireguard/peers"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/wgnet"
)

const mtu = 1420

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// side is a kind of device.
type side struct {
	name string
	new  func(netip.Addr) (tun.Device, peers.Net, error)
}

var sides = []side{
	{"wireguard-go tun/netstack", func(a netip.Addr) (tun.Device, peers.Net, error) {
		return netstack.CreateNetTUN([]netip.Addr{a}, nil, mtu)
	}},
	{"wgnet", func(a netip.Addr) (tun.Device, peers.Net, error) {
		return wgnet.CreateNetTUN([]netip.Addr{a}, nil, mtu)
	}},
	{"wgnet, RXChecksumOffload", func(a netip.Addr) (tun.Device, peers.Net, error) {
		return wgnet.New(&wgnet.Config{Addrs: []netip.Addr{a}, MTU: mtu, RXChecksumOffload: true})
	}},
}

// pair is two joined nodes.
type pair struct {
	a, b  *peers.Node
	close func()
}

func (s *side) open(join joiner) (*pair, error) {
	devA, netA, err := s.new(addrA)
	if err != nil {
		return nil, err
	}
	devB, netB, err := s.new(addrB)
	if err != nil {
		devA.Close()
		return nil, err
	}
	closePair, err := join(devA, devB)
	if err != nil {
		return nil, err
	}
	return &pair{
		a: &peers.Node{Net: netA, Address: addrA}, b: &peers.Node{Net: netB, Address: addrB},
		close: closePair,
	}, nil
}

// joiner joins two devices, which close also closes.
type joiner func(a, b tun.Device) (close func(), err error)

var joins = map[string]joiner{"device": joinPlain, "tunnel": joinWireGuard}

func joinWireGuard(a, b tun.Device) (func(), error) {
	p, err := peers.Join(a, b)
	if err != nil {
		return nil, err
	}
	return p.Close, nil
}

// joinPlain moves packets as wireguard-go does, with its batches and its offset,
// but without encryption.
func joinPlain(a, b tun.Device) (func(), error) {
	var moving sync.WaitGroup
	moving.Go(func() { move(a, b) })
	moving.Go(func() { move(b, a) })
	return func() {
		a.Close()
		b.Close()
		moving.Wait()
	}, nil
}

// move carries packets until from is closed.
func move(from, to tun.Device) {
	const offset = device.MessageTransportHeaderSize
	n := from.BatchSize()
	whole, batch, sizes := make([][]byte, n), make([][]byte, n), make([]int, n)
	for i := range whole {
		whole[i] = make([]byte, offset+mtu)
	}
	for {
		n, err := from.Read(whole, sizes, offset)
		if err != nil {
			return
		}
		for i := range n {
			batch[i] = whole[i][:offset+sizes[i]]
		}
		to.Write(batch[:n], offset) // a closed one ends the other direction
	}
}
