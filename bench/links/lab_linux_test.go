// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/result"
	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// openLab opens a lab where there can be these links.
func openLab(t *testing.T, need ...string) *Lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	l, err := Open(ctx)
	var no *UnavailableError
	if errors.As(err, &no) {
		t.Skipf("needs privilege: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	for _, link := range need {
		if err := l.Probe(testRun(link)); err != nil {
			t.Skipf("needs privilege: %v", err)
		}
	}
	return l
}

// Every mode is run by stackdemo's tests. Here is what it does not use.
func TestLab(t *testing.T) {
	t.Parallel()
	l := openLab(t, TUN, Veth)
	ours := Mode{Name: "rawlink", Offload: true, Raw: true}
	for name, c := range map[string]Run{
		"TUN latency":          {Link: TUN, Mode: ours, Kind: result.Latency},
		"veth latency, v6":     {Link: Veth, Mode: Mode{}, Kind: result.Latency, IPv6: true},
		"kernel receives":      {Link: Veth, Mode: Mode{Kernel: true}, Direction: result.Receive},
		"kernel sends, v6":     {Link: Veth, Mode: Mode{Kernel: true, HostGSO: true}, Direction: result.Send, IPv6: true},
		"kernel latency":       {Link: Veth, Mode: Mode{Kernel: true}, Kind: result.Latency},
		"rawlink, MTU of 9000": {Link: Veth, Mode: ours, Direction: result.Receive, MTU: 9000},
	} {
		r := testRun(c.Link)
		r.Mode, r.Direction, r.IPv6 = c.Mode, c.Direction, c.IPv6
		r.Kind, r.MTU = or(c.Kind, r.Kind), or(c.MTU, r.MTU)
		s, err := l.Run(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Mode.Kernel && r.Kind == result.Stream {
			if s.Gbps <= 0 || s.CPUPerGB != -1 || s.Packets != 0 {
				t.Errorf("%s: %+v", name, s)
			}
			continue
		}
		checkSample(t, r, s)
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func TestProxy(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("without iperf3")
	}
	l := openLab(t, Veth)
	for _, m := range []Mode{
		{Name: "fdbased"}, {Name: "rawlink", Offload: true, Raw: true, Queue: fifoPackets}, {Name: "kernel", Kernel: true},
	} {
		r := testRun(Veth)
		r.Proxy, r.Direction, r.Mode, r.Transfer.Flows = true, result.Both, m, 2
		s, err := l.Run(r)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if m.Kernel {
			s.Packets, s.MeanBytes, s.PerDelivery = 1, 1, 1
		}
		checkSample(t, r, s)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	l := openLab(t)
	file := filepath.Join(t.TempDir(), "cpu")
	if err := l.StartProfile(file); err != nil {
		t.Fatal(err)
	}
	if err := l.StopProfile(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if err := l.StartProfile("/nonesuch/cpu"); err == nil || !strings.HasPrefix(err.Error(), "-cpuprofile: ") {
		t.Errorf("got %v", err)
	}
}

// gVisor's GRO without trust over a TUN merges what is then dropped.
func TestStallOverTUN(t *testing.T) {
	t.Parallel()
	l := openLab(t, TUN)
	r := testRun(TUN)
	r.Mode = Mode{Name: "broken", GRO: true}
	r.Transfer.Duration, r.Transfer.Limit = 10*time.Second, 2*time.Second
	if s, err := l.Run(r); err == nil || !strings.Contains(err.Error(), "not finished within 2s") {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := l.Run(testRun(TUN)); err == nil {
		t.Error("works on after a failure")
	}
}

func TestBusy(t *testing.T) {
	const stat = "cpu  1 2 4 800 900 8 16 1000 2000 3000\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
	if got, ok := busy(stat); got != 31*tick || !ok {
		t.Errorf("got %v, %v, want %v", got, ok, 31*tick)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "cpu a b c d e f g\n", "intr 1 2 3 4 5 6 7 8\n"} {
		if got, ok := busy(bad); ok {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

// TestVethCarriesTrueFrames has the kernel send 4 MB over a veth pair. Netstack takes
// no frame whose checksum is not complete, so those are checked too.
func TestVethCarriesTrueFrames(t *testing.T) {
	t.Parallel()
	ns, err := rtnetlink.NewNamespace()
	if err != nil {
		t.Skipf("needs privilege: %v", err)
	}
	defer ns.Close()
	var d device
	r := testRun(Veth)
	if err := ns.Try(func() (err error) { d, err = openDevice(r); return err }); err != nil {
		t.Fatal(err)
	}
	defer ns.Do(d.close)
	o := d.options()
	o.MTU = 1500
	lower, err := fdbased.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	m := new(meter)
	m.Init(lower, m)
	h, err := transfer.NewHost(m, &transfer.HostConfig{Addrs: r.Addresses()[1:]})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	defer ns.Try(d.down)
	k := &kernelNode{transfer.Kernel{Address: r.Addresses()[0]}, ns}
	if _, err := transfer.Between(t.Context(), k, h, &transfer.Config{Bytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	if got := m.largest.Load(); got != 1514 {
		t.Errorf("the largest frame with an MTU of 1500 has %d bytes, want 1514", got)
	}
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
