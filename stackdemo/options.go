// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

const (
	linkAuto   = "auto"
	linkTUN    = links.TUN
	linkVeth   = links.Veth
	linkMemory = "memory"
)

// options are the flags.
type options struct {
	Link     string
	Run      string
	Flows    int
	Duration time.Duration
	Rounds   int
	MTU      int
	IPv6     bool
	Stall    time.Duration
	JSON     bool

	CPUProfile string
}

func parse(args []string, help io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("stackdemo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Link, "link", linkAuto, "`what` the data crosses: tun (IP packets, one a system call), veth\n(Ethernet frames over AF_PACKET, many a system call), memory, or auto:\na TUN where there can be one")
	f.StringVar(&o.Run, "run", "", "run only the modes whose name in the progress messages matches this `regexp`")
	f.IntVar(&o.Flows, "flows", 1, "`number` of TCP connections side by side")
	f.DurationVar(&o.Duration, "duration", 1500*time.Millisecond, "`time` of one run")
	f.IntVar(&o.Rounds, "rounds", 3, "`number` of runs of each mode; the median is shown")
	f.IntVar(&o.MTU, "mtu", 1500, "MTU of the link in `bytes`")
	f.BoolVar(&o.IPv6, "ipv6", false, "use IPv6")
	f.DurationVar(&o.Stall, "stall", 5*time.Second, "`time` without progress that is a failure")
	f.BoolVar(&o.JSON, "json", false, "print the result as JSON")
	f.StringVar(&o.CPUProfile, "cpuprofile", "", "write a CPU profile of the process that netstack runs in to this `file`;\nsee also -run")
	if err := f.Parse(args); err == flag.ErrHelp {
		fmt.Fprintln(help, "Usage: stackdemo [flags]")
		f.SetOutput(help)
		f.PrintDefaults()
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w; see stackdemo -h", err)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag; it takes flags only, see stackdemo -h", f.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	if _, err := regexp.Compile(o.Run); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	switch {
	case !slices.Contains([]string{linkAuto, linkTUN, linkVeth, linkMemory}, o.Link):
		return fmt.Errorf("-link %q: choose auto, tun, veth or memory", o.Link)
	case o.Flows < 1 || o.Flows > 64:
		return fmt.Errorf("-flows %d: choose 1 to 64", o.Flows)
	case o.Duration < 100*time.Millisecond || o.Duration > time.Minute:
		return fmt.Errorf("-duration %v: choose 100ms to 1m", o.Duration)
	case o.Stall < 100*time.Millisecond || o.Stall > time.Minute:
		return fmt.Errorf("-stall %v: choose 100ms to 1m", o.Stall)
	case o.Rounds < 1 || o.Rounds > 99:
		return fmt.Errorf("-rounds %d: choose 1 to 99", o.Rounds)
	case o.MTU < 1280 || o.MTU > 65535:
		// 1280 is the least that IPv6 may have.
		return fmt.Errorf("-mtu %d: choose 1280 to 65535", o.MTU)
	}
	return nil
}

// transfer is the transfer of one run.
func (o *options) transfer(seed uint64) *transfer.Config {
	return &transfer.Config{
		Flows:    o.Flows,
		Duration: o.Duration,
		Stall:    o.Stall,
		Limit:    o.Duration + 30*time.Second,
		Seed:     seed,
	}
}

// only picks the trials that are to run.
func (o *options) only(all []trial) ([]trial, error) {
	matches := regexp.MustCompile(o.Run) // check has tried it
	trials := slices.DeleteFunc(all, func(t trial) bool { return !matches.MatchString(t.String()) })
	if len(trials) == 0 {
		return nil, fmt.Errorf("-run %q: no mode matches", o.Run)
	}
	return trials, nil
}
