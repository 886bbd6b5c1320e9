// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A thread is an operating system thread in a network namespace of its own, which
// carries out what it is asked to. It is thrown away in the end: neither namespace
// nor scheduling could be put back safely.
type thread struct {
	tid int

	mu     sync.Mutex // held while the thread works
	calls  chan func()
	done   chan struct{}
	closed bool
}

func startThread() (*thread, error) {
	t := &thread{calls: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go t.start(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return t, nil
}

func (t *thread) start(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		t.serve(ready)
		return // locked, which ends the thread
	}
	// The first thread of a process would never end. Hold it until another is found.
	found := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(found)
		t.serve(ready)
	}()
	<-found
	runtime.UnlockOSThread()
}

func (t *thread) serve(ready chan<- error) {
	t.tid = unix.Gettid()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- failure("making a network namespace", err)
		return
	}
	ready <- nil
	for f := range t.calls {
		f()
		t.done <- struct{}{}
	}
}

// do has the thread carry out f, which must not wait for long.
func (t *thread) do(f func() error) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("kernel: %w", ErrClosed)
	}
	t.calls <- func() { err = f() }
	<-t.done
	return err
}

// close ends the thread after a last f, and waits for its end: it holds the namespace.
// Closing again does nothing.
func (t *thread) close(f func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	t.calls <- f
	<-t.done
	close(t.calls)
	task := "/proc/self/task/" + strconv.Itoa(t.tid)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		if _, err := os.Stat(task); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("kernel: a thread did not end")
		}
	}
}

// patience bounds each wait for something that always happens.
const patience = 5 * time.Second

// failure says what failed, and whether that is a lack of rights or of a kernel option.
func failure(what string, err error) error {
	if err == nil {
		return nil
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		switch errno {
		case unix.EPERM, unix.EACCES, unix.EROFS, unix.ENOSYS, unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOPKG, unix.EOPNOTSUPP:
			return fmt.Errorf("kernel: %s: %w: %w", what, ErrPrivilege, err)
		}
	}
	return fmt.Errorf("kernel: %s: %w", what, err)
}
