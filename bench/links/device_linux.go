// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

// Devices, the same in every namespace.
const (
	kernelDevice = "kernel0" // the TUN, or the end of the veth pair with the kernel's address
	stackDevice  = "stack0"  // the end with netstack's socket
)

// A device is where netstack meets a link, for the time of one run.
type device interface {
	// options are those of fdbased that the device decides.
	options() fdbased.Options
	// config is that of rawlink, over a descriptor of rawlink's own.
	config() (*rawlink.Config, error)
	// down stops the kernel from sending, so that the stack can be taken apart in
	// peace.
	down() error
	// close removes the device. Nobody may be using its descriptor any more.
	close()
}

// openDevice makes the link of a run, with the kernel's address.
func openDevice(r *Run) (device, error) {
	switch r.Link {
	case TUN:
		return openTUN(r)
	case Veth:
		return openVeth(r)
	}
	return nil, fmt.Errorf("there is no link %q", r.Link)
}

// giveAddress makes the kernel answer at a device.
func giveAddress(device string, addr netip.Addr) error {
	rtnetlink.UseIPv6(device, true) // where it cannot be said, the address fails
	return rtnetlink.AddAddress(device, rtnetlink.Subnet(addr))
}

// newHost puts a netstack on a device, in the run's mode.
func (e *end) newHost(d device, r *Run, addrs []netip.Addr) (*transfer.Host, error) {
	link, err := r.Mode.link(d, uint32(r.MTU))
	if err != nil {
		return nil, err
	}
	cfg := &transfer.HostConfig{Addrs: addrs, CongestionControl: e.control, Buffer: r.Buffer}
	if r.Mode.Queue > 0 {
		cfg.QDisc = fifo.New(link, 1, r.Mode.Queue)
	}
	return transfer.NewHost(link, cfg)
}

// link is what the stack is put on.
func (m *Mode) link(d device, mtu uint32) (lower stack.LinkEndpoint, err error) {
	if m.Raw {
		lower, err = m.rawlink(d, mtu)
	} else {
		lower, err = m.fdbased(d.options(), mtu)
	}
	if err != nil || !m.Offload {
		return lower, err
	}
	return endpoint.New(lower, nil), nil
}

func (m *Mode) rawlink(d device, mtu uint32) (stack.LinkEndpoint, error) {
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	cfg.MTU, cfg.VnetHdr, cfg.RXChecksumOffload = mtu, m.Vnet, m.Trust
	return rawlink.New(cfg)
}

// smallBuffers are what fdbased reads into by default, largeBuffers what suits
// packets of 1500 bytes and super-packets: few pieces.
var (
	smallBuffers = fdbased.BufConfig
	largeBuffers = []int{2048, 65536}
)

func (m *Mode) fdbased(o fdbased.Options, mtu uint32) (stack.LinkEndpoint, error) {
	o.MTU, o.RXChecksumOffload, o.GRO = mtu, m.Trust, m.GRO
	if m.GSO || m.HostGSO {
		o.GSOMaxSize, o.GVisorGSOEnabled = header.IPv4MaximumPayloadSize, m.GSO
	}
	fdbased.BufConfig = smallBuffers
	if m.Large {
		fdbased.BufConfig = largeBuffers
	}
	switch {
	case m.GRO:
		// With a single processor fdbased flushes its GRO after every system call: after
		// a packet on a TUN, after at most 8 over RecvMMsg.
		o.ProcessorsPerChannel = max(2, runtime.GOMAXPROCS(0))
	case m.Offload:
		// Packets change goroutine in the endpoint; once is enough.
		o.ProcessorsPerChannel = 1
	}
	return fdbased.New(&o)
}

// dup is a descriptor for rawlink, which closes its own.
func dup(fd int) (int, error) {
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicating a descriptor: %w", err)
	}
	return fd, nil
}
