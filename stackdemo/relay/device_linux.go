// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

const (
	tunName = "relay"
	// tunQueue is how many packets the kernel keeps for a slow reader.
	tunQueue = 1000
)

// openDevice makes the TUN of the namespace that it is called in, with addresses and
// default routes.
func openDevice(o *options) (*rawlink.Config, error) {
	cfg, err := rawlink.OpenTUN(tunName, &rawlink.OpenOptions{NoVnetHdr: !o.Vnet})
	if err != nil {
		return nil, err
	}
	cfg.MTU = uint32(o.MTU)
	if err := configureDevice(cfg); err != nil {
		unix.Close(cfg.FDs[0])
		return nil, err
	}
	return cfg, nil
}

func configureDevice(cfg *rawlink.Config) error {
	if err := rtnetlink.SetUp("lo"); err != nil {
		return err
	}
	rtnetlink.UseIPv6(cfg.Name, true) // where it cannot be said, the address fails
	if err := rtnetlink.SetLink(cfg.Name, &rtnetlink.Link{Up: true, MTU: cfg.MTU, QueueLen: tunQueue}); err != nil {
		return err
	}
	for _, a := range []netip.Addr{innerAddr4, innerAddr6} {
		everywhere := netip.PrefixFrom(a, 0).Masked()
		if err := rtnetlink.AddAddress(cfg.Name, rtnetlink.Subnet(a)); err != nil {
			return err
		}
		if err := rtnetlink.AddRoute(cfg.Name, &rtnetlink.Route{To: everywhere}); err != nil {
			return err
		}
	}
	return nil
}
