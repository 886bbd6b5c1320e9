// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// GSO asks what generic segmentation offload makes of a super-packet. Its methods may
// be called from several goroutines.
type GSO struct {
	thread *thread
	entry  *tap
	exit   *exit
	mark   *sentinel
}

// OpenGSO makes the devices. The caller closes it.
func OpenGSO() (*GSO, error) {
	t, err := startThread()
	if err != nil {
		return nil, err
	}
	g := &GSO{thread: t, mark: newSentinel()}
	if err := t.do(g.open); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *GSO) open() error {
	return withDevices(func(c control, s sysfs) (err error) {
		// Without IFF_NAPI a write carries a frame all the way to the exit.
		if g.entry, err = openTAP(unix.IFF_VNET_HDR); err != nil {
			return err
		}
		if g.exit, err = openExit(c, s, g.entry); err != nil {
			return err
		}
		if err := g.exit.opened(g.sendMark, g.mark); err != nil {
			return err
		}
		_, err = g.flush()
		return err
	})
}

// Split is what f is when it leaves through a device without offloads: segments with
// whole checksums, in order. Where nothing leaves, the error is ErrRefused or
// ErrDropped. A frame without GSO type has its checksum completed if it NeedsCsum.
func (g *GSO) Split(f Frame) (segments [][]byte, err error) {
	err = g.thread.do(func() error {
		segments, err = g.split(f)
		return err
	})
	return segments, err
}

func (g *GSO) split(f Frame) (segments [][]byte, err error) {
	if err := check([][]byte{f.Data}); err != nil {
		return nil, err
	}
	if err := g.write(f); err != nil {
		return nil, err
	}
	frames, err := g.flush()
	if err != nil {
		return nil, err
	}
	for _, s := range frames {
		segments = append(segments, s.Data)
	}
	if len(segments) == 0 {
		return nil, fmt.Errorf("kernel: a frame of %d bytes: %w", len(f.Data), ErrDropped)
	}
	return segments, nil
}

// flush collects everything that is on its way. Frames do not overtake each other here.
func (g *GSO) flush() ([]Frame, error) {
	if err := g.sendMark(); err != nil {
		return nil, err
	}
	return g.mark.collect(nil, g.exit)
}

func (g *GSO) sendMark() error { return g.write(Frame{Data: g.mark.next()}) }

func (g *GSO) write(f Frame) error {
	header := f.vnetHdr()
	_, err := unix.Writev(g.entry.fd, [][]byte{header[:], f.Data})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("kernel: a frame of %d bytes: %w", len(f.Data), ErrRefused)
	}
	return failure("writing a frame", err)
}

// Close removes the devices and the thread. Closing again does nothing.
func (g *GSO) Close() error {
	return g.thread.close(func() {
		if g.exit != nil {
			g.exit.close()
		}
		if g.entry != nil {
			g.entry.close()
		}
	})
}
