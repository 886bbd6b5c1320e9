// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

// MTU is that of every link.
const MTU = 1500

// Config says how the ends of a Pair are made.
type Config struct {
	// V6 joins them by IPv6.
	V6 bool
	// Trusted has neither end verify checksums (RXChecksumOffload).
	Trusted bool
	// Queue, if not 0, puts gVisor's fifo queue of so many packets between each
	// stack and its link.
	Queue int
	// MayStall has Transfer skip, and say so, instead of fail when a transfer stands
	// still: for peers that are known to.
	MayStall bool
}

// Addrs are the addresses of the two ends.
func (c *Config) Addrs() [2]netip.Addr {
	if c.V6 {
		return [2]netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")}
	}
	return [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
}

// Sum is how names call what is done with checksums.
func (c *Config) Sum() string {
	if c.Trusted {
		return "trusted"
	}
	return "verified"
}

// IP is the version's number.
func (c *Config) IP() int {
	if c.V6 {
		return 6
	}
	return 4
}

// Pair is two ends that reach each other.
type Pair struct {
	A, B transfer.Node
	// Close ends both, and whatever joins them.
	Close func()
}

// Join makes a Pair.
type Join func(*Config) (*Pair, error)

// NewPair makes hosts over two links and joins them. join starts what moves
// packets, and returns what ends that.
func NewPair(cfg *Config, links [2]stack.LinkEndpoint, join func() (stop func())) (*Pair, error) {
	addrs := cfg.Addrs()
	var hosts [2]*transfer.Host
	for i, link := range links {
		host, err := newHost(cfg, link, addrs[i])
		if err != nil {
			if i == 1 {
				hosts[0].Close()
			}
			return nil, err
		}
		hosts[i] = host
	}
	stop := join()
	return &Pair{A: hosts[0], B: hosts[1], Close: func() {
		hosts[0].Close()
		hosts[1].Close()
		stop()
	}}, nil
}

func newHost(cfg *Config, link stack.LinkEndpoint, addr netip.Addr) (*transfer.Host, error) {
	c := &transfer.HostConfig{Addrs: []netip.Addr{addr}}
	if cfg.Queue > 0 {
		c.QDisc = fifo.New(link, 1, cfg.Queue)
	}
	return transfer.NewHost(link, c)
}

// Channels is gVisor's channel.Endpoint as everybody uses it, one packet at a time.
func Channels(cfg *Config) (*Pair, error) {
	a, b := newChannel(cfg), newChannel(cfg)
	return NewPair(cfg, [2]stack.LinkEndpoint{a, b}, func() func() { return transfer.JoinChannels(a, b) })
}

// OffloadedChannels is channel.Endpoint under an endpoint.Endpoint.
func OffloadedChannels(cfg *Config) (*Pair, error) {
	a, b := newChannel(cfg), newChannel(cfg)
	links := [2]stack.LinkEndpoint{endpoint.New(a, nil), endpoint.New(b, nil)}
	return NewPair(cfg, links, func() func() { return transfer.JoinChannels(a, b) })
}

func newChannel(cfg *Config) *channel.Endpoint {
	e := channel.New(1024, MTU, "")
	if cfg.Trusted {
		e.LinkEPCapabilities = stack.CapabilityRXChecksumOffload
	}
	return e
}

// Memlinks is memlink by itself: it splits what leaves, and nothing merges what
// arrives.
func Memlinks(cfg *Config) (*Pair, error) {
	a, b := newMemlink(cfg), newMemlink(cfg)
	return NewPair(cfg, [2]stack.LinkEndpoint{a, b}, func() func() { return transfer.JoinBatches(a, b) })
}

// OffloadedMemlinks is memlink under an endpoint.Endpoint.
func OffloadedMemlinks(cfg *Config) (*Pair, error) {
	a, b := newMemlink(cfg), newMemlink(cfg)
	links := [2]stack.LinkEndpoint{endpoint.New(a, nil), endpoint.New(b, nil)}
	return NewPair(cfg, links, func() func() { return transfer.JoinBatches(a, b) })
}

func newMemlink(cfg *Config) *memlink.Link {
	return memlink.New(&memlink.Config{MTU: MTU, RXChecksumOffload: cfg.Trusted})
}
