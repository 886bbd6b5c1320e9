// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rtnetlink

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace, a kernel of its own as far as packets are
// concerned, and the one thread that is in it. What is made there, such as a socket,
// stays there, and may be used from anywhere.
type Namespace struct {
	calls  chan func()
	done   chan struct{}
	thread int
}

// NewNamespace makes a namespace, with its loopback up. It takes CAP_SYS_ADMIN.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{calls: make(chan func()), done: make(chan struct{})}
	made := make(chan error)
	go n.run(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	return n, nil
}

func (n *Namespace) run(made chan<- error) {
	defer close(n.done)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		n.thread = unix.Gettid()
		err = SetUp("lo")
	}
	made <- err
	if err != nil {
		return
	}
	for f := range n.calls {
		f()
	}
}

// Do runs f in the namespace, and waits for it. f may not end its goroutine, as
// testing.T.FailNow does.
func (n *Namespace) Do(f func()) {
	done := make(chan struct{})
	n.calls <- func() { defer close(done); f() }
	<-done
}

// Try is Do for what can fail.
func (n *Namespace) Try(f func() error) (err error) {
	n.Do(func() { err = f() })
	return err
}

// Adopt moves a device of the calling thread's namespace here, where it is down.
func (n *Namespace) Adopt(device string) error {
	index, err := Index(device)
	if err != nil {
		return err
	}
	thread := binary.NativeEndian.AppendUint32(nil, uint32(n.thread))
	if err := Send(unix.RTM_SETLINK, 0, Attribute(LinkMessage(index, 0, 0), unix.IFLA_NET_NS_PID, thread)); err != nil {
		return fmt.Errorf("%s: moving the device: %w", device, err)
	}
	return nil
}

// Close ends the thread, and the namespace once nothing made there is left. No call
// may be under way or follow.
func (n *Namespace) Close() {
	close(n.calls)
	<-n.done
}
