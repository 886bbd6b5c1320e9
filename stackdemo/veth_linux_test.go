// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// roleFrames is a process of the test's own, in new namespaces: it says how large the
// largest frame was.
const roleFrames = "frames"

func init() {
	if os.Getenv(roleVariable) == roleFrames {
		size, err := largestFrame(context.Background())
		fmt.Println(size, err)
		os.Exit(0)
	}
}

func TestVethCarriesTrueFrames(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, in, out, err := start(ctx, roleFrames, newNamespaces())
	if err != nil {
		t.Skipf("needs privilege: a network namespace: %v", err)
	}
	defer cmd.Wait()
	defer in.Close()
	b, _ := io.ReadAll(out)
	switch got := strings.TrimSpace(string(b)); {
	case strings.Contains(got, "operation not permitted"):
		t.Skip("needs privilege: " + got)
	case got != "1514 <nil>":
		t.Errorf("the largest frame over a veth with an MTU of 1500, and error: %s, want 1514 <nil>", got)
	}
}

// largestFrame has the kernel send 4 MB over a veth pair. Netstack takes no frame
// whose checksum is not complete, so those are checked too.
func largestFrame(ctx context.Context) (size int64, err error) {
	addrs := addresses(false)
	if err := setLink("lo", true, nil); err != nil {
		return 0, err
	}
	v, err := openVeth(&deviceConfig{mtu: 1500, kernel: addrs[0]})
	if err != nil {
		return 0, err
	}
	defer v.close()
	o := v.options()
	o.MTU = 1500
	lower, err := fdbased.New(&o)
	if err != nil {
		return 0, err
	}
	m := new(meter)
	m.Init(lower, m)
	h, err := transfer.NewHost(m, &transfer.HostConfig{Addrs: addrs[1:]})
	if err != nil {
		return 0, err
	}
	defer closeHost(h, &err)
	defer v.down()
	_, err = transfer.Between(ctx, &transfer.Kernel{Address: addrs[0]}, h, &transfer.Config{Bytes: 4 << 20})
	return m.largest.Load(), err
}

// meter notes the size of the largest frame that a link delivers.
type meter struct {
	nested.Endpoint
	largest atomic.Int64
}

func (m *meter) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	size := int64(pkt.Size())
	for {
		largest := m.largest.Load()
		if size <= largest || m.largest.CompareAndSwap(largest, size) {
			break
		}
	}
	m.Endpoint.DeliverNetworkPacket(protocol, pkt)
}
