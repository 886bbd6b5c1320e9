// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package kernel

// GRO asks what generic receive offload makes of bursts of frames. Its methods may be
// called from several goroutines.
type GRO struct {
	thread *thread
	source *source
	socket *socket
}

// OpenGRO makes the devices. The caller closes it.
func OpenGRO() (*GRO, error) {
	t, err := startThread()
	if err != nil {
		return nil, err
	}
	g := &GRO{thread: t}
	if err := t.do(g.open); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *GRO) open() error {
	return withDevices(func(c control, s sysfs) (err error) {
		if g.source, err = openSource(c, s); err != nil {
			return err
		}
		if err := c.up(g.source.tap.name); err != nil {
			return err
		}
		if g.socket, err = openSocket(c.index(g.source.tap.name)); err != nil {
			return err
		}
		_, err = g.source.flush(nil, g.socket)
		return err
	})
}

// Merge is what a burst of at most MaxBurst Ethernet frames becomes in one NAPI poll:
// all that left, in the order of leaving. What the kernel swallowed is not there; see
// the package's comment. The frames of the burst are only read.
func (g *GRO) Merge(burst [][]byte) (out []Frame, err error) {
	err = g.thread.do(func() error {
		out, err = g.source.ask(burst, g.socket)
		return err
	})
	return out, err
}

// Retries is how many answers were thrown away so far, as their bursts were not seen to
// be one poll.
func (g *GRO) Retries() int { return int(g.source.retries.Load()) }

// Close removes the devices and the thread. Closing again does nothing.
func (g *GRO) Close() error {
	return g.thread.close(func() {
		if g.socket != nil {
			g.socket.close()
		}
		if g.source != nil {
			g.source.tap.close()
		}
	})
}
