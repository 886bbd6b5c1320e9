// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/endpoint"
)

// fdbased with one processor, as endpoint.New advises. (With more and RecvMMsg
// gVisor leaks the processors of a dispatcher that it makes and throws away.)
func init() {
	for name, mode := range map[string]fdbased.PacketDispatchMode{"fdbased Readv": fdbased.Readv, "fdbased RecvMMsg": fdbased.RecvMMsg} {
		wires[name] = wire{narrow: true, join: func(t *testing.T) (stack.LinkEndpoint, stack.LinkEndpoint, func()) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Skipf("no socket pair: %v", err)
			}
			var ends [2]stack.LinkEndpoint
			for i, fd := range fds {
				lower, err := fdbased.New(&fdbased.Options{
					FDs: []int{fd}, MTU: 1500, PacketDispatchMode: mode, ProcessorsPerChannel: 1,
					EthernetHeader: true, Address: tcpip.LinkAddress([]byte{2, 0, 0, 0, 0, byte(i)}),
				})
				if err != nil {
					t.Fatal(err)
				}
				ends[i] = endpoint.New(lower, nil)
			}
			return ends[0], ends[1], func() {
				unix.Close(fds[0])
				unix.Close(fds[1])
			}
		}}
	}
}
