// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

const firstPort = 5001

// netstackEnd is the process in the namespace: it makes the link, is the netstack at
// one side of it, and has the kernel end use the other.
func netstackEnd(in io.Reader, out io.Writer) int {
	var o options
	d, e := json.NewDecoder(in), json.NewEncoder(out)
	if err := d.Decode(&o); err != nil {
		fmt.Fprintf(os.Stderr, "stackdemo: reading options: %v\n", err)
		return 1
	}
	go func() {
		io.Copy(io.Discard, in)
		os.Exit(1) // the process that prints is gone
	}()
	last, code := message{Done: true}, 0
	if err := runKernel(&o, e); err != nil {
		last, code = message{Error: err.Error()}, 1
	}
	if e.Encode(last) != nil {
		return 1
	}
	return code
}

// A lab is what all runs over a link to the kernel share.
type lab struct {
	*options
	link    *kernelLink
	addrs   []netip.Addr // the kernel's, netstack's
	control string
	peer    *kernelPeer
	port    uint16
}

func runKernel(o *options, e *json.Encoder) error {
	ctx := context.Background() // the process that prints ends us with our input
	l := &lab{options: o, link: kernelLinks[o.Link], addrs: addresses(o.IPv6), port: firstPort}
	if err := l.prepare(); err != nil {
		return e.Encode(message{Unavailable: err.Error()})
	}
	peer, err := startKernelPeer(ctx)
	if err != nil {
		return err
	}
	l.peer = peer
	defer l.peer.stop()
	trials, err := o.only(l.trials())
	if err != nil {
		return err
	}
	stop, err := o.profile()
	if err != nil {
		return err
	}
	defer stop()
	if err := e.Encode(message{Started: l.control, Runs: len(trials)}); err != nil {
		return err
	}
	return rounds(ctx, trials, o.Rounds, func(round int, s sample) error {
		return e.Encode(message{Round: round, Sample: &s})
	})
}

// prepare finds out whether the link can be had, and makes the namespace fair.
func (l *lab) prepare() error {
	if err := setLink("lo", true, nil); err != nil {
		return err
	}
	// The kernel remembers what a path could carry, and would start the second run
	// on what it learnt in the first.
	os.WriteFile("/proc/sys/net/ipv4/tcp_no_metrics_save", []byte("1"), 0)
	d, err := l.link.open(&deviceConfig{mtu: l.MTU, kernel: l.addrs[0]})
	if err != nil {
		return err
	}
	d.close()
	for _, l.control = range []string{"cubic", "reno"} {
		k := &transfer.Kernel{Address: netip.MustParseAddr("127.0.0.1"), CongestionControl: l.control}
		ln, err := k.Listen(context.Background(), 0)
		if err == nil {
			return ln.Close()
		}
	}
	return fmt.Errorf("the kernel has neither cubic nor reno")
}

// receive has the kernel send to h, and measures at h.
func (l *lab) receive(ctx context.Context, h *transfer.Host, seed uint64) (transfer.Result, error) {
	ln, err := h.Listen(ctx, l.port)
	if err != nil {
		return transfer.Result{}, err
	}
	defer ln.Close()
	o := l.order(seed)
	o.To = netip.AddrPortFrom(h.Addr(), l.port)
	if err := l.peer.order(o); err != nil {
		return transfer.Result{}, err
	}
	got, theirs, err := l.beside(ctx, func(ctx context.Context) (transfer.Result, error) {
		return transfer.ReceiveAll(ctx, ln, &o.Transfer)
	})
	if err == nil && got.Bytes != theirs.Bytes {
		err = fmt.Errorf("the kernel sent %d bytes and %d arrived", theirs.Bytes, got.Bytes)
	}
	return got, err
}

// send has h send to the kernel, and measures at the kernel, where the data arrives.
func (l *lab) send(ctx context.Context, h *transfer.Host, seed uint64) (transfer.Result, error) {
	o := l.order(seed)
	if err := l.peer.order(o); err != nil {
		return transfer.Result{}, err
	}
	if _, err := l.peer.answer(); err != nil {
		return transfer.Result{}, err
	}
	sent, theirs, err := l.beside(ctx, func(ctx context.Context) (transfer.Result, error) {
		return transfer.SendAll(ctx, h, netip.AddrPortFrom(l.addrs[0], l.port), &o.Transfer)
	})
	if err == nil && sent.Bytes != theirs.Bytes {
		err = fmt.Errorf("%d bytes were sent and %d arrived at the kernel", sent.Bytes, theirs.Bytes)
	}
	return transfer.Result{Bytes: theirs.Bytes, Elapsed: theirs.Elapsed}, err
}

func (l *lab) order(seed uint64) order {
	return order{From: l.addrs[0], Port: l.port, CongestionControl: l.control, Transfer: *l.transfer(seed)}
}

// beside runs f while the kernel end does its part. What fails there ends f.
func (l *lab) beside(ctx context.Context, f func(context.Context) (transfer.Result, error)) (mine transfer.Result, theirs answer, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan answer, 1)
	go func() {
		a, err := l.peer.answer()
		if err != nil {
			cancel(err)
		}
		done <- a
	}()
	if mine, err = f(ctx); err != nil {
		return mine, theirs, err // the demo ends here, and the kernel end with it
	}
	theirs = <-done
	return mine, theirs, context.Cause(ctx)
}
