// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"runtime"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Config sets how an Endpoint works. A nil Config and the zero Config are the
// default.
type Config struct {
	// DisableCoalescing delivers every packet as it came, on the goroutine
	// that brings it. Super-packets of a host are still split where the stack
	// would not take them.
	DisableCoalescing bool
	// DisableSegmentation passes packets down as they come, and what GSO the
	// lower link supports itself up.
	DisableSegmentation bool

	// EndsHere, if not nil, is asked in the NIC's place whether packets to dst,
	// a unicast address, end in this stack. What does is handed up merged, or as
	// large as the host made it; anything else in packets that fit a wire, which
	// is always safe. True, if they are forwarded or bridged after all, stalls
	// them.
	//
	// Nil is right nearly always. Set it where a sniffer or another wrapper
	// stands between the Endpoint and its NIC, which then cannot be asked; or
	// where the stack translates addresses (iptables DNAT, before routing) and
	// the answers leave by another NIC than the one with this Endpoint: say
	// false for what is translated. Where they leave by the same NIC the
	// Endpoint learns it from them, whatever EndsHere says.
	//
	// It is called about once a batch and destination, from several goroutines,
	// under no lock, and must not block.
	EndsHere func(protocol tcpip.NetworkProtocolNumber, dst tcpip.Address) bool

	// ForwardMerged says that every link by which the stack forwards is an
	// Endpoint too, or takes super-packets otherwise: what a NIC forwards is
	// then merged as well, and split again at the way out. It has no effect
	// before gVisor keeps GSOOptions while it forwards, which it does not yet
	// (gVisor issue 14011); see Stats.ForwardsMerged.
	ForwardMerged bool

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
