// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// Chunk is what an operation of Transfer moves, all flows together.
const Chunk = 1 << 20

const (
	// limit is what no benchmark that gets on comes near.
	limit = 10 * time.Minute
	// stall is longer than TCP waits between two attempts over a link that lost much:
	// that is slow, and to be measured, but no failure.
	stall = 10 * time.Second
)

// Transfer measures moving b.N MiB over TCP from one end of a Pair to the other.
// Every byte is checked, which costs some 0.07 CPU seconds per GB. It reports
// "CPU-s/GB", of the whole process, where the system tells.
func Transfer(b *testing.B, cfg *Config, join Join, flows int) {
	p, err := join(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.SetBytes(Chunk)
	b.ReportAllocs()
	c := &transfer.Config{Flows: flows, Bytes: int64(b.N) * Chunk / int64(flows), Stall: stall, Limit: limit}
	b.ResetTimer()
	cpu, ok := transfer.CPUTime()
	got, err := transfer.Between(context.Background(), p.A, p.B, c)
	cpuEnd, _ := transfer.CPUTime()
	b.StopTimer()
	if cfg.MayStall && errors.Is(err, transfer.ErrStalled) {
		b.Skip("no figure: ", err)
	}
	if err != nil {
		b.Fatal(err)
	}
	if ok {
		b.ReportMetric(got.PerGB(cpuEnd-cpu), "CPU-s/GB")
	}
}

// Latency measures the round trip of size bytes over TCP on an idle link, and
// reports its median and 99th percentile besides the mean.
func Latency(b *testing.B, cfg *Config, join Join, size int) {
	p, err := join(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	from, to, err := p.connect()
	if err != nil {
		b.Fatal(err)
	}
	var echo sync.WaitGroup
	echo.Go(func() {
		defer to.Close()
		io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{to}, make([]byte, size))
	})
	defer echo.Wait()
	defer from.Close()
	msg := make([]byte, size)
	trips := make([]time.Duration, 0, 1<<16)
	b.SetBytes(int64(2 * size))
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := from.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(from, msg); err != nil {
			b.Fatal(err)
		}
		trips = append(trips, time.Since(start))
	}
	slices.Sort(trips)
	b.ReportMetric(float64(trips[len(trips)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(trips[len(trips)*99/100].Nanoseconds()), "p99-ns")
}

// connect returns both ends of a new connection from A to B.
func (p *Pair) connect() (from, to net.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ln, err := p.B.Listen(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	addr, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	from, err = p.A.Dial(ctx, netip.AddrPortFrom(p.B.Addr(), addr.Port()))
	if err != nil {
		return nil, nil, err
	}
	to, err = ln.Accept()
	if err != nil {
		from.Close()
		return nil, nil, err
	}
	// A link that loses everything must not hold up a run for ever.
	from.SetDeadline(time.Now().Add(limit))
	return from, to, nil
}
