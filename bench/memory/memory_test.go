// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/memory"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// TestMain looks for leaks after tests, and only then: gVisor's book of references
// would be measured with everything else.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(m.Run())
	}
	leak.Main(m)
}

var links = []struct {
	name string
	join memory.Join
}{
	{"channel", memory.Channels},
	{"endpoint-channel", memory.OffloadedChannels},
	{"memlink", memory.Memlinks},
	{"endpoint-memlink", memory.OffloadedMemlinks},
}

var configs = []memory.Config{{}, {Trusted: true}, {V6: true}, {V6: true, Trusted: true}}

// each runs f for every link and way to use it.
func each(f func(name string, cfg *memory.Config, join memory.Join)) {
	for _, l := range links {
		for i := range configs {
			cfg := &configs[i]
			f(fmt.Sprintf("link=%s/sum=%s/ip=%d", l.name, cfg.Sum(), cfg.IP()), cfg, l.join)
		}
	}
}

// TestTransfer: what the benchmarks measure arrives whole.
func TestTransfer(t *testing.T) {
	each(func(name string, cfg *memory.Config, join memory.Join) {
		t.Run(name, func(t *testing.T) {
			p, err := join(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			c := &transfer.Config{Flows: 2, Bytes: 256 << 10}
			if got, err := transfer.Between(context.Background(), p.A, p.B, c); err != nil || got.Bytes != 2*c.Bytes {
				t.Fatal(got.Bytes, err)
			}
		})
	})
}

// BenchmarkTransfer moves TCP from one stack to another, a MiB an operation.
func BenchmarkTransfer(b *testing.B) {
	each(func(name string, cfg *memory.Config, join memory.Join) {
		for _, flows := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/flows=%d", name, flows), func(b *testing.B) {
				memory.Transfer(b, cfg, join, flows)
			})
		}
	})
}

// BenchmarkLatency is a round trip of small and of large messages on an idle link.
func BenchmarkLatency(b *testing.B) {
	each(func(name string, cfg *memory.Config, join memory.Join) {
		for _, size := range []int{1, 1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/bytes=%d", name, size), func(b *testing.B) {
				memory.Latency(b, cfg, join, size)
			})
		}
	})
}
