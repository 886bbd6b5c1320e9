// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
)

// Around fdbased it is one line more. Here two stacks are joined by a socketpair,
// which stands for a TUN or an AF_PACKET socket.
func ExampleNew_fdbased() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	newLink := func(fd int) stack.LinkEndpoint {
		link, err := fdbased.New(&fdbased.Options{
			FDs:                  []int{fd},
			MTU:                  1500,
			ProcessorsPerChannel: 1, // the endpoint has workers of its own
		})
		if err != nil {
			log.Fatal(err)
		}
		return endpoint.New(link, nil) // was: return link
	}
	// TCP's buffers are small, so that the socket's hold all that is under way:
	// fdbased drops what does not fit.
	const buffer = 32 << 10
	a, err := transfer.NewHost(newLink(fds[0]), &transfer.HostConfig{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Buffer: buffer})
	if err != nil {
		log.Fatal(err)
	}
	b, err := transfer.NewHost(newLink(fds[1]), &transfer.HostConfig{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Buffer: buffer})
	if err != nil {
		log.Fatal(err)
	}

	moved, err := transfer.Between(context.Background(), a, b, &transfer.Config{Bytes: 4 << 20})
	fmt.Println(moved.Bytes, err)
	fmt.Println("in packets larger than the MTU:", a.Sent().MeanBytes() > 1500)

	a.Close()
	b.Close()
	unix.Close(fds[0]) // fdbased does not own it
	unix.Close(fds[1])
	// Output:
	// 4194304 <nil>
	// in packets larger than the MTU: true
}
