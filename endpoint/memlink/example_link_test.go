// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package memlink_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

func newExampleHost(link stack.LinkEndpoint, addr string) *transfer.Host {
	h, err := transfer.NewHost(link, &transfer.HostConfig{Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return h
}

// A VPN engine or a proxy moves batches. Between two stacks this is all of it.
func ExampleLink() {
	a, b := memlink.New(nil), memlink.New(nil)
	hostA, hostB := newExampleHost(endpoint.New(a, nil), "192.0.2.1"), newExampleHost(endpoint.New(b, nil), "192.0.2.2")
	move := func(from, to *memlink.Link) {
		n := from.BatchSize()
		whole, batch, sizes := make([][]byte, n), make([][]byte, n), make([]int, n)
		for i := range whole {
			whole[i] = make([]byte, from.MTU())
		}
		for {
			n, err := from.Read(whole, sizes, 0) // encrypt and send these
			if err != nil {
				return
			}
			for i := range n {
				batch[i] = whole[i][:sizes[i]]
			}
			to.Write(batch[:n], 0) // what was received and decrypted
		}
	}
	go move(a, b)
	go move(b, a)

	moved, err := transfer.Between(context.Background(), hostA, hostB, &transfer.Config{Bytes: 4 << 20})
	fmt.Println(moved.Bytes, err)
	hostA.Close()
	hostB.Close()
	a.Close()
	b.Close()
	// Output: 4194304 <nil>
}

// Where channel.Endpoint was, one line changes.
func ExampleNewChannel() {
	link := memlink.NewChannel(512, 1500, "") // was: channel.New(512, 1500, "")
	host := newExampleHost(endpoint.New(link, nil), "10.0.0.2")

	// For the stack: an echo request.
	ping := packettest.ICMP{ID: 1, Seq: 1, Payload: []byte("hello")}.Bytes()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(ping)})
	link.InjectInbound(header.IPv4ProtocolNumber, pkt)
	pkt.DecRef()

	// From the stack: never larger than the MTU.
	reply := link.ReadContext(context.Background())
	fmt.Println(reply.Size(), "bytes for", reply.Network().DestinationAddress())
	reply.DecRef()

	host.Close()
	link.Close()
	// Output: 33 bytes for 10.0.0.1
}
