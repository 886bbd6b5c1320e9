// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// An order tells the kernel end what to do: to send to To, or, where that is not
// given, to listen on Port and receive, or echo.
type order struct {
	From              netip.Addr
	To                netip.AddrPort
	Port              uint16
	Echo              bool
	CongestionControl string
	Transfer          transfer.Config
}

// An answer is the kernel end's: Listening first where it receives, then the result.
type answer struct {
	Listening bool
	Bytes     int64
	InTime    int64
	Elapsed   time.Duration
	Error     string
}

// kernelEnd carries out orders until its input ends.
func kernelEnd(in io.Reader, out io.Writer) int {
	e := json.NewEncoder(out)
	for o := range requests[order](in) {
		r, err := o.carryOut(e)
		a := answer{Bytes: r.Bytes, InTime: r.InTime, Elapsed: r.Elapsed}
		if err != nil {
			a.Error = err.Error()
		}
		if e.Encode(a) != nil {
			return 1
		}
	}
	return 0
}

func (o *order) carryOut(e *json.Encoder) (transfer.Result, error) {
	ctx := context.Background() // Transfer has limits of its own
	k := &transfer.Kernel{Address: o.From, CongestionControl: o.CongestionControl}
	if o.To.IsValid() {
		return transfer.SendAll(ctx, k, o.To, &o.Transfer)
	}
	ln, err := k.Listen(ctx, o.Port)
	if err != nil {
		return transfer.Result{}, err
	}
	defer ln.Close()
	if err := e.Encode(answer{Listening: true}); err != nil {
		return transfer.Result{}, err
	}
	if o.Echo {
		ctx, cancel := context.WithTimeout(ctx, o.Transfer.Limit)
		defer cancel()
		return transfer.Result{}, transfer.Echo(ctx, ln)
	}
	return transfer.ReceiveAll(ctx, ln, &o.Transfer)
}

// A kernelPeer is the kernel end as the netstack end sees it.
type kernelPeer struct {
	cmd *exec.Cmd
	in  io.Closer
	enc *json.Encoder
	dec *json.Decoder
}

func startKernelPeer(ctx context.Context) (*kernelPeer, error) {
	cmd, in, out, err := start(ctx, roleKernel, nil)
	if err != nil {
		return nil, fmt.Errorf("starting the kernel end: %w", err)
	}
	return &kernelPeer{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}, nil
}

func (p *kernelPeer) order(o order) error {
	if err := p.enc.Encode(o); err != nil {
		return fmt.Errorf("the kernel end takes no orders: %w", err)
	}
	return nil
}

// listen gives an order to listen, and waits until that is so.
func (p *kernelPeer) listen(o order) error {
	if err := p.order(o); err != nil {
		return err
	}
	_, err := p.answer()
	return err
}

// answer waits for an answer. The kernel end's own limits bound the wait.
func (p *kernelPeer) answer() (answer, error) {
	var a answer
	if err := p.dec.Decode(&a); err != nil {
		return a, fmt.Errorf("the kernel end gave no answer: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("the kernel end: %s", a.Error)
	}
	return a, nil
}

// stop ends the process and waits for it.
func (p *kernelPeer) stop() {
	p.in.Close()
	p.cmd.Wait()
}

// A kernelNode is the kernel's TCP in another namespace, which is in netstack's place.
type kernelNode struct {
	transfer.Kernel
	ns *rtnetlink.Namespace
}

func (k *kernelNode) Listen(ctx context.Context, port uint16) (ln net.Listener, err error) {
	k.ns.Do(func() { ln, err = k.Kernel.Listen(ctx, port) })
	return ln, err
}

func (k *kernelNode) Dial(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	k.ns.Do(func() { c, err = k.Kernel.Dial(ctx, to) })
	return c, err
}

// openKernel makes a veth pair from here to another namespace, the kernel at both ends.
func (e *end) openKernel(r *Run) (*kernelNode, *wire, error) {
	ns, err := rtnetlink.NewNamespace()
	if err != nil {
		return nil, nil, err
	}
	addrs := r.Addresses()
	w, err := openWire(r, ns)
	if err != nil {
		ns.Close()
		return nil, nil, err
	}
	err = giveAddress(kernelDevice, addrs[0])
	if err == nil {
		err = ns.Try(func() error { return giveAddress(stackDevice, addrs[1]) })
	}
	if err != nil {
		w.close()
		ns.Close()
		return nil, nil, err
	}
	return &kernelNode{transfer.Kernel{Address: addrs[1], CongestionControl: e.control}, ns}, w, nil
}

// runKernel measures from kernel to kernel. What netstack's process would count, or
// cost, is not known here.
func (e *end) runKernel(r *Run) (s result.Sample, err error) {
	k, w, err := e.openKernel(r)
	if err != nil {
		return s, err
	}
	defer k.ns.Close()
	defer w.close()
	s, err = e.measure(r, &party{
		Node:   k,
		count:  func() transfer.Counts { return transfer.Counts{} },
		resent: func() (n uint64, err error) { k.ns.Do(func() { n, err = kernelResent() }); return n, err },
	})
	if r.Kind == result.Stream {
		s.CPUPerGB = -1
	}
	return s, err
}
