// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// bridgedMTU is a TAP's largest.
	bridgedMTU = 65535 - 14
	// exitQueue holds the most segments that there can be, of a byte each.
	exitQueue = 1 << 17
)

// An exit is a TAP device without offloads at the far end of a bridge: what is sent to
// it comes out as a wire would carry it.
type exit struct {
	tap *tap
	buf []byte
}

// openExit bridges a device, which is not up yet, to a new exit.
func openExit(c control, s sysfs, entry *tap) (*exit, error) {
	t, err := openTAP(0)
	if err != nil {
		return nil, err
	}
	if err := bridge(c, s, entry.name, t.name); err != nil {
		t.close()
		return nil, err
	}
	return &exit{tap: t, buf: make([]byte, 1<<17)}, nil
}

// bridge joins two devices and brings them up. What one receives the other sends,
// whatever the addresses: the bridge learns none, so it knows none.
func bridge(c control, s sysfs, entry, exit string) error {
	const name = "bridge"
	str, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(str))); errno != 0 {
		return failure("making a bridge", errno)
	}
	if err := c.set(exit, unix.SIOCSIFTXQLEN, exitQueue); err != nil {
		return err
	}
	for _, port := range []string{entry, exit} {
		if err := c.set(port, unix.SIOCSIFMTU, bridgedMTU); err != nil {
			return err
		}
		if err := c.set(name, unix.SIOCBRADDIF, c.index(port)); err != nil {
			return err
		}
		if err := s.write(port, "brport/learning", "0"); err != nil {
			return err
		}
	}
	// Spanning tree is off in a new bridge, and without a delay ports forward at once.
	for _, p := range []struct{ name, value string }{
		{"bridge/stp_state", "0"}, {"bridge/forward_delay", "0"}, {"bridge/multicast_snooping", "0"},
	} {
		// A kernel may be built without snooping.
		if err := s.write(name, p.name, p.value); err != nil && p.name != "bridge/multicast_snooping" {
			return err
		}
	}
	return errors.Join(c.up(name), c.up(exit), c.up(entry))
}

func (e *exit) fd() int { return e.tap.fd }
func (e *exit) close()  { e.tap.close() }

// next takes a frame that was sent; ok is false if there is none.
func (e *exit) next() (f Frame, ok bool, err error) {
	f.Data, err = e.tap.read(e.buf)
	return f, f.Data != nil, err
}

// opened waits until frames that send sends come out, as a bridge's port may need a
// moment to be up.
func (e *exit) opened(send func() error, mark *sentinel) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := send(); err != nil {
			return err
		}
		if _, err := wait(e, 10*time.Millisecond); err != nil {
			return err
		}
		if f, ok, err := e.next(); err != nil || ok && mark.is(f.Data) {
			return err
		}
	}
	return fmt.Errorf("kernel: nothing passes the bridge")
}
