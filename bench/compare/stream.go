// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// writeSize and readSize are those of iperf3.
const (
	writeSize = 128 << 10
	readSize  = 128 << 10
)

// connect returns both ends of a new connection from p.a to p.b.
func (p *pair) connect() (from, to net.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ln, err := p.b.Listen(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	port := netip.MustParseAddrPort(ln.Addr().String()).Port()
	from, err = p.a.Dial(ctx, netip.AddrPortFrom(addrB, port))
	if err != nil {
		return nil, nil, err
	}
	to, err = ln.Accept()
	if err != nil {
		from.Close()
		return nil, nil, err
	}
	return from, to, nil
}

// measureTransfer returns a measurement of Gbit/s and CPU seconds per GB. The
// data is not looked at, so that nothing but the stacks and the links is
// measured; the tests check every byte.
func measureTransfer(newPair func(vouched bool) (*pair, error), vouched bool) func(*settings) ([]float64, error) {
	return func(s *settings) ([]float64, error) {
		p, err := newPair(vouched)
		if err != nil {
			return nil, err
		}
		defer p.close()
		var senders, receivers sync.WaitGroup
		var received atomic.Int64
		var stop atomic.Bool
		var conns []net.Conn
		defer func() {
			// Over a link that lost packets TCP may stand still for long:
			// nobody waits for what is on its way.
			stop.Store(true)
			for _, c := range conns {
				c.SetDeadline(time.Now())
			}
			senders.Wait()
			receivers.Wait()
		}()
		for range s.flows {
			from, to, err := p.connect()
			if err != nil {
				return nil, err
			}
			conns = append(conns, from, to)
			receivers.Go(func() {
				defer to.Close()
				buf := make([]byte, readSize)
				for {
					n, err := to.Read(buf)
					received.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			senders.Go(func() {
				defer from.Close()
				buf := make([]byte, writeSize)
				for !stop.Load() {
					if _, err := from.Write(buf); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(s.duration / 5) // congestion windows open
		start, bytes := time.Now(), received.Load()
		cpu, _ := transfer.CPUTime()
		time.Sleep(s.duration)
		cpuEnd, _ := transfer.CPUTime()
		bytes = received.Load() - bytes
		elapsed := time.Since(start)
		if bytes == 0 {
			return nil, errors.New("no data arrived")
		}
		return []float64{
			float64(bytes) * 8 / float64(elapsed.Nanoseconds()),
			(cpuEnd - cpu).Seconds() / (float64(bytes) / 1e9),
		}, nil
	}
}

// measureLatency returns a measurement of the round trip of one byte, in
// microseconds: the median over the run.
func measureLatency(newPair func(vouched bool) (*pair, error)) func(*settings) ([]float64, error) {
	return func(s *settings) ([]float64, error) {
		p, err := newPair(false)
		if err != nil {
			return nil, err
		}
		defer p.close()
		from, to, err := p.connect()
		if err != nil {
			return nil, err
		}
		var echo sync.WaitGroup
		echo.Go(func() {
			defer to.Close()
			io.Copy(to, to)
		})
		defer echo.Wait()
		defer from.Close()
		ctx, cancel := context.WithTimeout(context.Background(), s.duration+10*time.Second)
		defer cancel()
		trips, err := transfer.RoundTrips(ctx, from, s.duration)
		if err != nil {
			return nil, err
		}
		return []float64{float64(trips[len(trips)/2].Nanoseconds()) / 1e3}, nil
	}
}
