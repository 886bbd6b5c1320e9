// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import "runtime"

// Config sets how an Endpoint works. A nil Config and the zero Config are the
// default.
type Config struct {
	// DisableCoalescing delivers every packet as it came, on the goroutine
	// that brings it.
	DisableCoalescing bool
	// DisableSegmentation passes packets down as they come, and what GSO the
	// lower link supports itself up.
	DisableSegmentation bool

	// Workers is the number of goroutines that deliver what comes through
	// DeliverNetworkPacket; a flow stays with one of them. 0 means GOMAXPROCS,
	// at most 4. Links that deliver frames use none.
	Workers int
	// QueuePackets and QueueBytes bound what waits for one worker. A link
	// that finds the queue full waits while the worker gets on, and drops
	// after 10 ms in which it does not. 0 means 1024 packets and 4 MiB.
	QueuePackets, QueueBytes int
}

const (
	maxDefaultWorkers   = 4
	defaultQueuePackets = 1024
	defaultQueueBytes   = 4 << 20
)

func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	if d.Workers <= 0 {
		d.Workers = min(runtime.GOMAXPROCS(0), maxDefaultWorkers)
	}
	if d.QueuePackets <= 0 {
		d.QueuePackets = defaultQueuePackets
	}
	if d.QueueBytes <= 0 {
		d.QueueBytes = defaultQueueBytes
	}
	return d
}
