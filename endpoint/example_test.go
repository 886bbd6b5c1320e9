// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

func newStack() *stack.Stack {
	return stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
}

// Any link becomes one with GRO and GSO by one line.
func ExampleNew() {
	s := newStack()
	defer s.Destroy()
	link := channel.New(512, 1500, "")

	e := endpoint.New(link, nil) // this one

	if err := s.CreateNIC(1, e); err != nil {
		fmt.Println(err)
	}
	fmt.Println(e.SupportedGSO() == stack.HostGSOSupported, e.GSOMaxSize())
	// Output: true 65535
}

// The other end of a memlink reads and writes batches of packets, as with
// wireguard-go's tun.Device.
func ExampleNew_memlink() {
	s := newStack()
	defer s.Destroy()
	link := memlink.New(nil)
	e := endpoint.New(link, nil)
	if err := s.CreateNIC(1, e); err != nil {
		fmt.Println(err)
	}

	// For the stack:
	n, err := link.Write([][]byte{make([]byte, 20)}, 0)
	fmt.Println(n, err)

	// From the stack, until Close:
	bufs, sizes := make([][]byte, link.BatchSize()), make([]int, link.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, link.MTU())
	}
	link.Close()
	_, err = link.Read(bufs, sizes, 0)
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// memlink: the link is closed: file already closed
}
