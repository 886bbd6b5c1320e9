// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// Three processes of one program measure: the one that was started, which has the Lab;
// the netstack end, in a new user and network namespace; and in the same namespace the
// kernel end, so that the netstack end's CPU time is netstack's alone. A process ends
// when its standard input does, so none outlives its parent.
const (
	roleVariable = "NETSTACK_OFFLOAD_ROLE"
	roleNetstack = "netstack"
	roleKernel   = "kernel"
)

// PlayRole does the work of a process that a Lab started, where this is one: main exits
// with code then. It must be called before anything else.
func PlayRole() (code int, ok bool) {
	switch os.Getenv(roleVariable) {
	case roleNetstack:
		return netstackEnd(os.Stdin, os.Stdout), true
	case roleKernel:
		return kernelEnd(os.Stdin, os.Stdout), true
	}
	return 0, false
}

// Lab measures between the kernel and netstack, in namespaces of its own. Its calls
// take turns. After one has failed it can only be closed: the two ends may no longer
// be of one mind.
type Lab struct {
	// CongestionControl is what both ends use.
	CongestionControl string

	ctx context.Context
	cmd *exec.Cmd
	in  io.Closer
	enc *json.Encoder
	dec *json.Decoder
}

// A request is what the netstack end is to do: one field is set.
type request struct {
	Probe, Run   *Run
	StartProfile string
	StopProfile  bool
}

// A reply is its answer. The first comes unasked, when it is ready.
type reply struct {
	Unavailable       string
	Error             string
	CongestionControl string
	Sample            result.Sample
}

// answerLimit is how long a reply may take beyond what the run may.
const answerLimit = 30 * time.Second

// Open starts the processes. The error is an *UnavailableError where the system does not
// allow it. A done ctx ends them.
func Open(ctx context.Context) (*Lab, error) {
	cmd, in, out, err := start(ctx, roleNetstack, newNamespaces())
	if err != nil {
		return nil, &UnavailableError{fmt.Sprintf("starting a process in a new network namespace: %v", err)}
	}
	l := &Lab{ctx: ctx, cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	hello, err := l.reply(answerLimit)
	if err != nil {
		l.Close()
		return nil, err
	}
	l.CongestionControl = hello.CongestionControl
	return l, nil
}

// Probe finds out whether the link of a run can be had: the error is an
// *UnavailableError where it cannot.
func (l *Lab) Probe(r *Run) error {
	_, err := l.ask(request{Probe: r}, answerLimit)
	return err
}

// Run measures once.
func (l *Lab) Run(r *Run) (result.Sample, error) {
	answer, err := l.ask(request{Run: r}, r.limit()+answerLimit)
	return answer.Sample, err
}

// StartProfile starts a CPU profile of the process that netstack runs in.
func (l *Lab) StartProfile(file string) error {
	_, err := l.ask(request{StartProfile: file}, answerLimit)
	return err
}

// StopProfile ends the profile and writes it.
func (l *Lab) StopProfile() error {
	_, err := l.ask(request{StopProfile: true}, answerLimit)
	return err
}

// Close ends the processes and waits for them.
func (l *Lab) Close() {
	l.in.Close()
	l.cmd.Wait()
}

func (l *Lab) ask(r request, limit time.Duration) (reply, error) {
	if err := l.enc.Encode(r); err != nil {
		return reply{}, l.cause(fmt.Errorf("telling the netstack end what to do: %w", err))
	}
	return l.reply(limit)
}

func (l *Lab) reply(limit time.Duration) (reply, error) {
	var late atomic.Bool
	timer := time.AfterFunc(limit, func() {
		late.Store(true)
		l.cmd.Process.Kill()
	})
	defer timer.Stop()
	var r reply
	err := l.dec.Decode(&r)
	switch {
	case err != nil && late.Load():
		return r, fmt.Errorf("no answer within %v", limit)
	case err != nil:
		return r, l.cause(fmt.Errorf("the netstack end stopped before the end: %w", err))
	case r.Unavailable != "":
		return r, &UnavailableError{r.Unavailable}
	case r.Error != "":
		return r, errors.New(r.Error)
	}
	return r, nil
}

// cause is why the netstack end is gone.
func (l *Lab) cause(err error) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	return err
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
