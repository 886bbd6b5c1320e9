// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

// Resplit asks what a burst is after the kernel has merged it, bridged it and split it
// again for a device without offloads. Its methods may be called from several goroutines.
type Resplit struct {
	thread *thread
	source *source
	exit   *exit
}

// OpenResplit makes the devices. The caller closes it.
func OpenResplit() (*Resplit, error) {
	t, err := startThread()
	if err != nil {
		return nil, err
	}
	r := &Resplit{thread: t}
	if err := t.do(r.open); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Resplit) open() error {
	return withDevices(func(c control, s sysfs) (err error) {
		if r.source, err = openSource(c, s); err != nil {
			return err
		}
		if r.exit, err = openExit(c, s, r.source.tap); err != nil {
			return err
		}
		if err := r.exit.opened(r.source.sendMark, r.source.mark); err != nil {
			return err
		}
		_, err = r.source.flush(nil, r.exit)
		return err
	})
}

// Through is what leaves the bridge when a burst of at most MaxBurst Ethernet frames
// entered it in one NAPI poll, in the order of leaving. What the kernel swallowed is
// not there; see the package's comment.
func (r *Resplit) Through(burst [][]byte) (out [][]byte, err error) {
	err = r.thread.do(func() error {
		frames, err := r.source.ask(burst, r.exit)
		for _, f := range frames {
			out = append(out, f.Data)
		}
		return err
	})
	return out, err
}

// Retries is how many answers were thrown away so far, as their bursts were not seen to
// be one poll.
func (r *Resplit) Retries() int { return int(r.source.retries.Load()) }

// Close removes the devices and the thread. Closing again does nothing.
func (r *Resplit) Close() error {
	return r.thread.close(func() {
		if r.exit != nil {
			r.exit.close()
		}
		if r.source != nil {
			r.source.tap.close()
		}
	})
}
