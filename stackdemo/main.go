// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Stackdemo shows what netstack-offload does for gVisor's netstack on this
// machine: it needs no root, no arguments and less than a minute.
//
//	go run ./stackdemo
//
// In a user and network namespace of its own it makes a TUN with an MTU of 1500
// and moves data between the kernel's TCP and a netstack, both ways: with
// gVisor's fdbased link alone, with gVisor's own offloads at their best, and with
// endpoint.New around fdbased. Where that is not permitted (or not Linux) it says
// so and moves data between two stacks over memory. It prints one table. Every byte
// is checked at both ends; a wrong byte or a stall ends it with an error.
//
// With -link veth the data crosses a veth pair, netstack at an AF_PACKET socket of
// one end: Ethernet frames of true MTU size with complete checksums, as from a
// network card without offloads. -h lists the flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/netstack-offload/netstack-offload/bench/links"
)

func main() {
	if code, ok := links.PlayRole(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		var r *report
		if r, err = measure(ctx, o, stderr); err == nil {
			err = r.print(stdout, o.JSON)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "stackdemo: %v\n", err)
		return 1
	}
	return 0
}

// measure takes the link that was asked for. By itself it takes the TUN where it
// may and memory where it must.
func measure(ctx context.Context, o *options, stderr io.Writer) (*report, error) {
	var no *links.UnavailableError
	var note string
	if o.Link != linkMemory {
		kernel := *o
		if o.Link == linkAuto {
			kernel.Link = linkTUN
		}
		r, err := measureKernel(ctx, &kernel, stderr)
		if err == nil || !errors.As(err, &no) {
			return r, err
		}
		if o.Link != linkAuto {
			return nil, fmt.Errorf("%w; use -link auto or -link memory", err)
		}
		note = fmt.Sprintf("no TUN could be used (%v), so this is two stacks joined in memory", err)
		fmt.Fprintf(stderr, "stackdemo: %s\n", note)
	}
	r, err := measureMemory(ctx, o, stderr)
	if err == nil && note != "" {
		r.Notes = append(r.Notes, note)
	}
	return r, err
}
