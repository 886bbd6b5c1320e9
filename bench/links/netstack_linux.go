// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/netstack-offload/netstack-offload/bench/profile"
	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// firstPort is one below the first that is listened on.
const firstPort = 5001

// netstackEnd is the process in the namespace: it makes the link, is the netstack at
// one side of it, and has the kernel end use the other.
func netstackEnd(in io.Reader, out io.Writer) int {
	e := json.NewEncoder(out)
	end, err := newEnd(context.Background()) // the Lab ends us with our input
	if err != nil {
		e.Encode(reply{Unavailable: err.Error()})
		return 1
	}
	defer end.peer.stop()
	if e.Encode(reply{CongestionControl: end.control}) != nil {
		return 1
	}
	for r := range requests[request](in) {
		answer := end.answer(&r)
		if e.Encode(answer) != nil || answer.Error != "" {
			return 1
		}
	}
	return 0
}

// requests are what is decoded from in. The process ends with it, whatever is under
// way: nobody waits for that.
func requests[T any](in io.Reader) <-chan T {
	c := make(chan T)
	go func() {
		d := json.NewDecoder(in)
		for {
			var v T
			if d.Decode(&v) != nil {
				os.Exit(0)
			}
			c <- v
		}
	}()
	return c
}

// An end is the netstack end of all runs of a Lab.
type end struct {
	ctx         context.Context
	control     string
	peer        *kernelPeer
	port        uint16
	stopProfile func()
}

// newEnd makes the namespace fair and starts the kernel end.
func newEnd(ctx context.Context) (*end, error) {
	e := &end{ctx: ctx, port: firstPort}
	if err := rtnetlink.SetUp("lo"); err != nil {
		return nil, err
	}
	// The kernel remembers what a path could carry, and would start the second run
	// on what it learnt in the first.
	rtnetlink.Sysctl("ipv4/tcp_no_metrics_save", "1")
	if err := e.chooseControl(); err != nil {
		return nil, err
	}
	var err error
	e.peer, err = startKernelPeer(ctx)
	return e, err
}

// chooseControl finds the congestion control that both ends have.
func (e *end) chooseControl() error {
	for _, e.control = range []string{"cubic", "reno"} {
		k := &transfer.Kernel{Address: netip.MustParseAddr("127.0.0.1"), CongestionControl: e.control}
		ln, err := k.Listen(e.ctx, 0)
		if err == nil {
			return ln.Close()
		}
	}
	return fmt.Errorf("the kernel has neither cubic nor reno")
}

func (e *end) answer(r *request) (a reply) {
	var err error
	switch {
	case r.Probe != nil:
		if err := probe(r.Probe); err != nil {
			return reply{Unavailable: err.Error()}
		}
	case r.Run != nil:
		a.Sample, err = e.run(r.Run)
	case r.StopProfile:
		e.stopProfile()
	default:
		e.stopProfile, err = profile.CPU(r.StartProfile)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func probe(r *Run) error {
	d, err := openDevice(r)
	if err != nil {
		return err
	}
	d.close()
	return nil
}

// run makes a device and what is at its ends, measures, and takes all apart.
func (e *end) run(r *Run) (result.Sample, error) {
	e.port++ // the last one may linger in TIME_WAIT
	switch {
	case r.Proxy:
		return e.runProxy(r)
	case r.Mode.Kernel:
		return e.runKernel(r)
	}
	return e.runNetstack(r)
}

func (e *end) runNetstack(r *Run) (s result.Sample, err error) {
	d, err := openDevice(r)
	if err != nil {
		return s, err
	}
	// fdbased does not own the descriptor: it goes after the stack.
	defer d.close()
	h, err := e.newHost(d, r, r.Addresses()[1:])
	if err != nil {
		return s, err
	}
	defer closeHost(h, &err)
	// netstack removes a NIC under a lock that packets need: let none arrive.
	defer d.down()
	p := &party{Node: h, resent: func() (uint64, error) { return hostResent(h), nil }, count: h.Received}
	if r.Direction == result.Send {
		p.count = h.Sent
	}
	return e.measure(r, p)
}

// A party is who is at netstack's end of a link.
type party struct {
	transfer.Node
	resent func() (segments uint64, err error)
	count  func() transfer.Counts // in the direction of the data
}

func (e *end) measure(r *Run, p *party) (s result.Sample, err error) {
	if r.Kind == result.Latency {
		return e.latency(r, p)
	}
	move, resent := e.receive, kernelResent
	if r.Direction == result.Send {
		move, resent = e.send, p.resent
	}
	before, err := resent()
	if err != nil {
		return s, err
	}
	start := now()
	got, err := move(p, r)
	if err != nil {
		return s, err
	}
	r.rate(&s, got, start)
	after, err := resent()
	s.Resent = after - before
	r.count(&s, p.count(), got.Bytes, r.Direction == result.Receive)
	return s, err
}

// receive has the kernel send to node, and measures at node.
func (e *end) receive(node transfer.Node, r *Run) (transfer.Result, error) {
	ln, err := node.Listen(e.ctx, e.port)
	if err != nil {
		return transfer.Result{}, err
	}
	defer ln.Close()
	o := e.order(r)
	o.To = netip.AddrPortFrom(node.Addr(), e.port)
	if err := e.peer.order(o); err != nil {
		return transfer.Result{}, err
	}
	got, theirs, err := e.beside(func(ctx context.Context) (transfer.Result, error) {
		return transfer.ReceiveAll(ctx, ln, &o.Transfer)
	})
	if err == nil && got.Bytes != theirs.Bytes {
		err = fmt.Errorf("the kernel sent %d bytes and %d arrived", theirs.Bytes, got.Bytes)
	}
	return got, err
}

// send has node send to the kernel, and measures at the kernel, where the data arrives.
func (e *end) send(node transfer.Node, r *Run) (transfer.Result, error) {
	o := e.order(r)
	if err := e.peer.listen(o); err != nil {
		return transfer.Result{}, err
	}
	sent, theirs, err := e.beside(func(ctx context.Context) (transfer.Result, error) {
		return transfer.SendAll(ctx, node, netip.AddrPortFrom(o.From, e.port), &o.Transfer)
	})
	if err == nil && sent.Bytes != theirs.Bytes {
		err = fmt.Errorf("%d bytes were sent and %d arrived at the kernel", sent.Bytes, theirs.Bytes)
	}
	return transfer.Result{Bytes: theirs.Bytes, InTime: theirs.InTime, Elapsed: theirs.Elapsed}, err
}

// latency measures round trips from node to an echo of the kernel's.
func (e *end) latency(r *Run, node transfer.Node) (s result.Sample, err error) {
	o := e.order(r)
	o.Echo = true
	if err := e.peer.listen(o); err != nil {
		return s, err
	}
	_, _, err = e.beside(func(ctx context.Context) (_ transfer.Result, err error) {
		s, err = dialAndTrip(ctx, node, netip.AddrPortFrom(o.From, e.port), r)
		return transfer.Result{}, err
	})
	return s, err
}

func (e *end) order(r *Run) order {
	o := order{From: r.Addresses()[0], Port: e.port, CongestionControl: e.control, Transfer: r.Transfer}
	o.Transfer.Limit = r.limit()
	return o
}

// beside runs f while the kernel end does its part. What fails there ends f.
func (e *end) beside(f func(context.Context) (transfer.Result, error)) (mine transfer.Result, theirs answer, err error) {
	ctx, cancel := context.WithCancelCause(e.ctx)
	defer cancel(nil)
	done := make(chan answer, 1)
	go func() {
		a, err := e.peer.answer()
		if err != nil {
			cancel(err)
		}
		done <- a
	}()
	if mine, err = f(ctx); err != nil {
		return mine, theirs, err // this process ends here, and the kernel end with it
	}
	theirs = <-done
	return mine, theirs, context.Cause(ctx)
}
