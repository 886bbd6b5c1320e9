// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The demo runs as three processes of one program: the one that was started, which
// prints; the netstack end, in a new user and network namespace; and in the same
// namespace the kernel end, so that the netstack end's CPU time is netstack's
// alone. A process ends when its standard input does, so none outlives its parent.
const (
	roleVariable = "STACKDEMO_ROLE"
	roleNetstack = "netstack"
	roleKernel   = "kernel"
)

// playRole does the work of a process that the demo started for itself.
func playRole() (code int, ok bool) {
	switch os.Getenv(roleVariable) {
	case roleNetstack:
		return netstackEnd(os.Stdin, os.Stdout), true
	case roleKernel:
		return kernelEnd(os.Stdin, os.Stdout), true
	}
	return 0, false
}

// A message is a line from the netstack end to the process that prints.
type message struct {
	Unavailable string  `json:"unavailable,omitempty"`
	Error       string  `json:"error,omitempty"`
	Started     string  `json:"started,omitempty"` // the congestion control
	Runs        int     `json:"runs,omitempty"`
	Round       int     `json:"round,omitempty"`
	Sample      *sample `json:"sample,omitempty"`
	Done        bool    `json:"done,omitempty"`
}

// measureKernel starts the netstack end and collects what it says.
func measureKernel(ctx context.Context, o *options, stderr io.Writer) (*report, error) {
	// A run has its own limits; this is for a netstack end that does not keep them.
	limit := 2*time.Minute + time.Duration(o.Rounds)*8*2*o.Duration
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not finished within %v", limit))
	defer cancel()
	cmd, in, out, err := start(ctx, roleNetstack, newNamespaces())
	if err != nil {
		return nil, &unavailableError{fmt.Sprintf("starting a process in a new network namespace: %v", err)}
	}
	// The netstack end ends with its input; Wait reaps it.
	defer cmd.Wait()
	defer in.Close()
	if err := json.NewEncoder(in).Encode(o); err != nil {
		return nil, fmt.Errorf("telling the netstack end what to do: %w", err)
	}
	r, err := collect(json.NewDecoder(out), o, stderr)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

func collect(from *json.Decoder, o *options, stderr io.Writer) (*report, error) {
	c := newCollector(o.Rounds, stderr)
	link := kernelLinks[o.Link]
	var control string
	for {
		var m message
		if err := from.Decode(&m); err != nil {
			return nil, fmt.Errorf("the netstack end stopped before the end: %w", err)
		}
		switch {
		case m.Unavailable != "":
			return nil, &unavailableError{m.Unavailable}
		case m.Error != "":
			return nil, errors.New(m.Error)
		case m.Started != "":
			control = m.Started
			fmt.Fprintf(stderr, "stackdemo: a %s in a network namespace of its own, %d rounds of %d runs of %v\n",
				link.name, o.Rounds, m.Runs, o.Duration)
		case m.Sample != nil:
			if err := c.emit(m.Round, *m.Sample); err != nil {
				return nil, err
			}
		case m.Done:
			r := newReport(link.name+" between kernel and netstack", o, c)
			r.CongestionControl = control
			r.Notes = slices.Concat(link.notes, kernelNotes, commonNotes)
			return r, nil
		}
	}
}

// start runs this program again in another role. The caller closes in, which ends
// it, and calls Wait.
func start(ctx context.Context, role string, attr *syscall.SysProcAttr) (cmd *exec.Cmd, in io.WriteCloser, out io.ReadCloser, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd = exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	if in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, nil, err
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		return nil, nil, nil, err
	}
	return cmd, in, out, cmd.Start()
}

// newNamespaces put a process into a network namespace of its own. Without root that
// takes a user namespace too, in which sockets get no larger buffers than anybody may
// ask for.
func newNamespaces() *syscall.SysProcAttr {
	if mayAdminister() {
		return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	return &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		GidMappingsEnableSetgroups: false,
	}
}

// mayAdminister reports whether this process has CAP_SYS_ADMIN.
func mayAdminister() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	return unix.Capget(&hdr, &caps[0]) == nil && caps[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
