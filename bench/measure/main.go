// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Command measure measures netstack over real links, this project's endpoint beside
// gVisor's own links and the kernel, on this machine: streams and round trips over a
// TUN, a veth pair and memory, and iperf3 through two proxies. It needs no root. Package
// survey says what the cases are.
//
//	go run ./bench/measure -quick             # everything once, to see that it works
//	go run ./bench/measure -json report.json  # in a quarter of an hour or more
//	go run ./bench/measure -run 'veth, receive, 1 flow, IPv4, MTU 1500'
//
// Progress goes to stderr, a table to stdout, and with -json all samples to a file, for
// bench/report to draw. Compare ratios: a machine's speed drifts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/survey"
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
	err := measure(ctx, args, stdout, stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stderr, "measure: %v\n", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := &survey.Options{Command: strings.Join(append([]string{"go run ./bench/measure"}, args...), " ")}
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.AddFlags(f)
	file := f.String("json", "", "write all samples, as JSON, to this `file`")
	if err := f.Parse(args); err == flag.ErrHelp {
		fmt.Fprintln(stdout, "Usage: measure [flags]")
		f.SetOutput(stdout)
		f.PrintDefaults()
		return err
	} else if err != nil {
		return fmt.Errorf("%w; see measure -h", err)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not a flag; it takes flags only, see measure -h", f.Arg(0))
	}
	return report(ctx, o, *file, stdout, stderr)
}

// report measures and writes. The file is opened first, so that a name that cannot be
// written costs no measurement.
func report(ctx context.Context, o *survey.Options, file string, stdout, stderr io.Writer) error {
	if file == "" {
		file = os.DevNull
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("-json: %w", err)
	}
	defer out.Close()
	r, err := survey.Measure(ctx, o, stderr)
	if err != nil {
		return err
	}
	out.Truncate(0) // what the file had before; a device has nothing
	if err := r.Write(out); err != nil {
		return fmt.Errorf("-json: %w", err)
	}
	return survey.WriteTable(stdout, r)
}
