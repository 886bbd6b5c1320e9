// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

func newExampleHost(fd int, addr string) *transfer.Host {
	link, err := rawlink.New(&rawlink.Config{FDs: []int{fd}, MTU: 1500, Ethernet: true})
	if err != nil {
		log.Fatal(err)
	}
	h, err := transfer.NewHost(endpoint.New(link, nil), &transfer.HostConfig{Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
	if err != nil {
		log.Fatal(err)
	}
	return h
}

// The network of a virtual machine: Ethernet frames over a datagram socket, as with
// QEMU's -netdev dgram,local.type=fd or vfkit's --device virtio-net,fd. Here another
// stack stands for the machine.
func Example_virtualMachine() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	gateway, machine := newExampleHost(fds[0], "192.168.127.1"), newExampleHost(fds[1], "192.168.127.2")

	moved, err := transfer.Between(context.Background(), machine, gateway, &transfer.Config{Bytes: 4 << 20})
	fmt.Println(moved.Bytes, err)
	fmt.Println("in packets larger than the MTU:", gateway.Received().MeanBytes() > 1500)
	machine.Close()
	gateway.Close()
	// Output:
	// 4194304 <nil>
	// in packets larger than the MTU: true
}

// A stream socket keeps no boundaries: QEMU's -netdev stream puts the length in
// front of each frame. Two goroutines and a socketpair make datagrams of it.
func Example_virtualMachineStream() {
	near, far := net.Pipe() // the connection to the machine, and its own end of it
	gateway, stopNear := newStreamHost(near, "192.168.127.1")
	machine, stopFar := newStreamHost(far, "192.168.127.2")

	moved, err := transfer.Between(context.Background(), machine, gateway, &transfer.Config{Bytes: 1 << 20})
	fmt.Println(moved.Bytes, err)
	machine.Close()
	gateway.Close()
	stopNear()
	stopFar()
	// Output: 1048576 <nil>
}

func newStreamHost(stream net.Conn, addr string) (h *transfer.Host, stop func()) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		log.Fatal(err)
	}
	frames := os.NewFile(uintptr(fds[1]), "frames")
	done := make(chan struct{}, 2)
	go func() {
		fromStream(frames, stream)
		done <- struct{}{}
	}()
	go func() {
		toStream(stream, frames)
		done <- struct{}{}
	}()
	return newExampleHost(fds[0], addr), func() {
		stream.Close()
		frames.Close()
		<-done
		<-done
	}
}

const maxFrame = 64 << 10

// fromStream hands over each frame of a stream by itself.
func fromStream(frames io.Writer, stream io.Reader) {
	r, frame := bufio.NewReaderSize(stream, maxFrame), make([]byte, maxFrame)
	for {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxFrame {
			return // out of step
		}
		if _, err := io.ReadFull(r, frame[:n]); err != nil {
			return
		}
		if _, err := frames.Write(frame[:n]); err != nil {
			return
		}
	}
}

// toStream puts the length in front of each frame.
func toStream(stream io.Writer, frames io.Reader) {
	frame := make([]byte, 4+maxFrame)
	for {
		n, err := frames.Read(frame[4:])
		if err != nil {
			return
		}
		binary.BigEndian.PutUint32(frame, uint32(n))
		if _, err := stream.Write(frame[:4+n]); err != nil {
			return
		}
	}
}
