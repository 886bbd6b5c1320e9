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
	"os/exec"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// An order tells the kernel end what to do: to send to To, or, where that is not
// given, to listen on Port and receive.
type order struct {
	From              netip.Addr
	To                netip.AddrPort
	Port              uint16
	CongestionControl string
	Transfer          transfer.Config
}

// An answer is the kernel end's: Listening first where it receives, then the result.
type answer struct {
	Listening bool
	Bytes     int64
	Elapsed   time.Duration
	Error     string
}

// kernelEnd carries out orders until its input ends.
func kernelEnd(in io.Reader, out io.Writer) int {
	orders := make(chan order)
	go func() {
		d := json.NewDecoder(in)
		for {
			var o order
			if d.Decode(&o) != nil {
				os.Exit(0) // whatever is under way: nobody waits for it
			}
			orders <- o
		}
	}()
	e := json.NewEncoder(out)
	for o := range orders {
		r, err := o.carryOut(e)
		a := answer{Bytes: r.Bytes, Elapsed: r.Elapsed}
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
