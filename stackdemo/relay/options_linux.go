// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"time"
)

const (
	linkRaw     = "rawlink"
	linkFdbased = "fdbased"
)

// options are the flags and the command, as the process in the namespace is told
// them too.
type options struct {
	Link    string
	Vnet    bool
	MTU     int
	Flows   int
	UDPIdle time.Duration
	Stats   bool
	Profile string
	Command []string
}

func parse(args []string, help io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("relay", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Link, "link", linkRaw, "`what` netstack reads the TUN with: rawlink under an endpoint, or fdbased alone")
	f.BoolVar(&o.Vnet, "vnet", true, "64 KiB packets pass the TUN whole, by virtio_net_hdr; rawlink only")
	f.IntVar(&o.MTU, "mtu", 1500, "MTU of the TUN in `bytes`")
	f.IntVar(&o.Flows, "flows", 1024, "`number` of TCP connections, and of UDP flows, at once")
	f.DurationVar(&o.UDPIdle, "udp-idle", time.Minute, "`time` after which a silent UDP flow ends")
	f.BoolVar(&o.Stats, "stats", false, "say at the end what was relayed and what CPU time it took")
	f.StringVar(&o.Profile, "cpuprofile", "", "write a CPU profile of the relay to this `file`")
	if err := f.Parse(args); err == flag.ErrHelp {
		fmt.Fprintln(help, "Usage: relay [flags] -- command [arguments]")
		f.SetOutput(help)
		f.PrintDefaults()
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w; see relay -h", err)
	}
	o.Command = f.Args()
	return o, o.check()
}

func (o *options) check() error {
	if o.Link == linkFdbased {
		o.Vnet = false // it would throw the header away
	}
	switch {
	case o.Link != linkRaw && o.Link != linkFdbased:
		return fmt.Errorf("-link %q: choose rawlink or fdbased", o.Link)
	case o.MTU < 1280 || o.MTU > 65535:
		// 1280 is the least that IPv6 may have.
		return fmt.Errorf("-mtu %d: choose 1280 to 65535", o.MTU)
	case o.Flows < 1 || o.Flows > 65535:
		return fmt.Errorf("-flows %d: choose 1 to 65535", o.Flows)
	case o.UDPIdle < 10*time.Millisecond:
		return fmt.Errorf("-udp-idle %v: choose 10ms or more", o.UDPIdle)
	case len(o.Command) == 0:
		return fmt.Errorf("no command: relay [flags] -- command [arguments]")
	}
	return nil
}
