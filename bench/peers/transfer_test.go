// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"fmt"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/memory"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// side joins two stacks by links of one implementation.
type side struct {
	link, impl string
	cfg        memory.Config
	join       memory.Join
}

// sides are those that run on this system. gVisor's GRO needs links that vouch for
// checksums; wireguard-go's tun/netstack always verifies.
func sides() []side {
	trusted := memory.Config{Trusted: true}
	gvisor := memory.Config{Trusted: true, MayStall: true}
	return append([]side{
		{"memory", "none", memory.Config{}, memory.Channels},
		{"memory", "wireguard-go", memory.Config{}, wireguardDevices},
		{"memory", "ours", memory.Config{}, memory.OffloadedMemlinks},
		{"memory", "none", trusted, memory.Channels},
		{"memory", "gvisor", gvisor, gvisorChannels},
		{"memory", "ours", trusted, memory.OffloadedMemlinks},
	}, socketSides()...)
}

// name is up to where implementations differ.
func (s *side) name() string { return fmt.Sprintf("link=%s/sum=%s", s.link, s.cfg.Sum()) }

// BenchmarkTransfer moves TCP over IPv4 between two stacks, a MiB an operation, every
// byte checked.
func BenchmarkTransfer(b *testing.B) {
	for _, s := range sides() {
		for _, flows := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/flows=%d/impl=%s", s.name(), flows, s.impl), func(b *testing.B) {
				memory.Transfer(b, &s.cfg, s.join, flows)
			})
		}
	}
}

// BenchmarkLatency is the round trip of one byte between two stacks on an idle link.
func BenchmarkLatency(b *testing.B) {
	for _, s := range sides() {
		b.Run(fmt.Sprintf("%s/impl=%s", s.name(), s.impl), func(b *testing.B) {
			memory.Latency(b, &s.cfg, s.join, 1)
		})
	}
}

// TestTransfer: every byte arrives, by every implementation.
func TestTransfer(t *testing.T) {
	for _, s := range sides() {
		t.Run(s.name()+"/impl="+s.impl, func(t *testing.T) {
			p, err := s.join(&s.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			c := &transfer.Config{Flows: 4, Bytes: 1 << 20}
			got, err := transfer.Between(context.Background(), p.A, p.B, c)
			if err != nil || got.Bytes != 4*c.Bytes {
				t.Fatalf("%d bytes arrived: %v", got.Bytes, err)
			}
		})
	}
}
