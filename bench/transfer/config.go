// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import "time"

// Config says what to move. A nil *Config, and a zero field in it, mean the
// default. Both ends of a transfer must be given the same Flows, Bytes and Seed.
type Config struct {
	// Flows is how many connections carry data side by side. Default 1.
	Flows int
	// Bytes is what each flow carries. Zero means that Duration decides.
	Bytes int64
	// Duration is how long the sender goes on where Bytes is zero; what it has
	// buffered by then is still delivered. Default 1 s.
	Duration time.Duration
	// Stall is how long a flow may go without moving a block of 64 KiB before it
	// fails with ErrStalled. Default 5 s.
	Stall time.Duration
	// Limit bounds the whole transfer, dialing and accepting included. Default
	// Duration plus one minute.
	Limit time.Duration
	// Seed chooses the data.
	Seed uint64
}

func (c *Config) orDefault() Config {
	var out Config
	if c != nil {
		out = *c
	}
	if out.Flows <= 0 {
		out.Flows = 1
	}
	if out.Duration <= 0 {
		out.Duration = time.Second
	}
	if out.Stall <= 0 {
		out.Stall = 5 * time.Second
	}
	if out.Limit <= 0 {
		out.Limit = out.Duration + time.Minute
	}
	return out
}

// Result is what was moved. The receiver's is the measurement: the sender's time
// includes the wait for the receiver's report.
type Result struct {
	// Bytes counts data that arrived and was right.
	Bytes int64
	// Elapsed is the time from the first byte of the first flow to the last byte
	// of the last one.
	Elapsed time.Duration
	// InTime counts those of Bytes that the receiver had within Config.Duration of
	// its flow's start: without what was still on its way, or buffered, when the
	// sender stopped, which of many flows that share a full link takes long.
	InTime int64

	first, last time.Time
}

// Gbps is the rate in Gbit/s (10^9 bits per second).
func (r Result) Gbps() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Bytes) * 8 / float64(r.Elapsed.Nanoseconds())
}

// Steady is the result with InTime for Bytes, and the time that took. Where nothing
// was in time it is r.
func (r Result) Steady(cfg *Config) Result {
	if r.InTime == 0 {
		return r
	}
	c := cfg.orDefault()
	return Result{Bytes: r.InTime, InTime: r.InTime, Elapsed: min(r.Elapsed, c.Duration)}
}

// PerGB spreads cpu over the bytes moved: CPU seconds per GB (10^9 bytes).
func (r Result) PerGB(cpu time.Duration) float64 {
	if r.Bytes == 0 {
		return 0
	}
	return cpu.Seconds() / (float64(r.Bytes) / 1e9)
}

// add joins the result of a flow that ran beside r.
func (r *Result) add(flow Result) {
	if r.first.IsZero() || flow.first.Before(r.first) {
		r.first = flow.first
	}
	if flow.last.After(r.last) {
		r.last = flow.last
	}
	r.Bytes += flow.Bytes
	r.InTime += flow.InTime
	r.Elapsed = r.last.Sub(r.first)
}
