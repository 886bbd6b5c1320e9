// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/profile"
)

func main() {
	if code, ok := playRole(); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are what the command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes beside the command's own.
const (
	codeFailed      = 1
	codeUnavailable = 125 // no namespace or no TUN to be had, as with docker run
)

// run is main without the process: it returns the exit code, which is the
// command's.
func run(ctx context.Context, args []string, std streams) int {
	o, err := parse(args, std.out)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	code := 0
	if err == nil {
		code, err = relay(ctx, o, std)
	}
	var no *unavailableError
	switch {
	case errors.As(err, &no):
		code = codeUnavailable
	case err != nil:
		code = codeFailed
	}
	if err != nil {
		fmt.Fprintf(std.err, "relay: %v\n", err)
	}
	return code
}

// drainLimit is how long connections may outlive the command.
const drainLimit = 3 * time.Second

// unavailableError says what cannot be had here.
type unavailableError struct{ reason string }

func (e *unavailableError) Error() string { return e.reason }

// relay runs the command and returns its exit code.
func relay(ctx context.Context, o *options, std streams) (code int, err error) {
	stopProfile, err := profile.CPU(o.Profile)
	if err != nil {
		return 0, err
	}
	defer stopProfile()
	cell, err := startCell(ctx, o, std)
	if err != nil {
		return 0, err
	}
	defer cell.kill() // if it has not ended
	dev, err := cell.device()
	if err != nil {
		return 0, err
	}
	n, err := newNetwork(o, dev)
	if err != nil {
		return 0, err
	}
	defer n.close()
	if err := cell.release(); err != nil {
		return 0, err
	}
	err = cell.cmd.Wait()
	if ctx.Err() == nil {
		n.proxy.drain(drainLimit)
	}
	if o.Stats {
		n.report(std.err)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}
