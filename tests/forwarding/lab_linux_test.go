// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/rtnetlink"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// wire says what joins a kernel to the stack between them.
type wire struct {
	name string
	tun  bool
	vnet bool // virtio_net_hdr, so that the kernel hands over super-packets
	tso  bool // the kernel's offloads are on
	// fdbased stands for gVisor's own link in place of rawlink, gro for its GRO.
	// bare is the link alone, without an Endpoint over it.
	fdbased, gro, bare bool
	trust              bool // RX checksums
}

// wires are those that everything has to work over.
var wires = []wire{
	{name: "AF_PACKET vnet, TSO on", vnet: true, tso: true},
	{name: "AF_PACKET"},
	{name: "TUN vnet, TSO on", tun: true, vnet: true, tso: true},
	{name: "AF_PACKET, fdbased", fdbased: true},
	{name: "AF_PACKET vnet, TSO off", vnet: true},
	{name: "TUN vnet, TSO off", tun: true, vnet: true},
}

// shortWires is how many of wires -short, and the race detector, are content with.
const shortWires = 4

func someWires() []wire {
	if testing.Short() || raceDetector {
		return wires[:shortWires]
	}
	return wires
}

// packetsPerFrame is how many packets a frame may hold, at most, that is dropped.
func (w *wire) packetsPerFrame() int {
	if w.tso {
		return 64
	}
	return 1
}

// The two kernels: A is on 10.0.1.0/24, B on 10.0.2.0/24. Of a bridge both are on
// 10.0.1.0/24. The stack's addresses end in 254.
type kernel struct {
	*namespace
	device  string            // the kernel's own
	mac     net.HardwareAddr  // the kernel's own; none on a TUN
	address tcpip.LinkAddress // the stack's
	wire    wire
	mtu     uint32
	bridge  bool
	v4, v6  string
	cfg     *rawlink.Config // its FDs are nobody's yet
	lower   stack.LinkEndpoint
	raw     *rawlink.Link      // nil for fdbased
	e       *endpoint.Endpoint // nil for fdbased, and bare
	fd      int                // fdbased's

	missed int // by the packet socket
}

const bridged = true

// newKernel makes a kernel, a or b, and the link to it.
func newKernel(t testing.TB, which int, w wire, mtu uint32, bridge bool) *kernel {
	t.Helper()
	k := &kernel{namespace: newNamespace(t), device: "kernel0", wire: w, mtu: mtu, fd: -1}
	if !w.tun {
		k.mac = macs[which]
	}
	subnet := which
	if bridge {
		subnet = 1
	}
	k.v4, k.v6 = fmt.Sprintf("10.0.%d.%d", subnet, which), fmt.Sprintf("fd00:%d::%d", subnet, which)
	k.address = tcpip.LinkAddress([]byte{2, 0, 0, 0, 9, byte(which)})
	if k.bridge = bridge; bridge && w.fdbased {
		// Which takes nothing for other stations than its own.
		k.address = tcpip.LinkAddress(macs[3-which])
	}
	k.make()
	if w.fdbased {
		k.openFDBased()
	} else {
		k.openRaw()
	}
	for _, a := range []string{k.v4, k.v6} {
		k.addAddress(k.device, a)
	}
	if !bridge {
		// B announces what its subnet could take if the way were as wide as A's:
		// a sender has to find out by path MTU discovery.
		adv := uint32(0)
		if mtu < 1500 {
			adv = 1500
		}
		k.addDefault(k.device, fmt.Sprintf("10.0.%d.254", subnet), less(adv, 40))
		k.addDefault(k.device, fmt.Sprintf("fd00:%d::fe", subnet), less(adv, 60))
	}
	return k
}

func less(mtu, headers uint32) uint32 {
	if mtu == 0 {
		return 0
	}
	return mtu - headers
}

// macs are the kernels' own, by which a bridge tells them apart.
var macs = map[int]net.HardwareAddr{1: {2, 0, 0, 0, 7, 1}, 2: {2, 0, 0, 0, 7, 2}}

// make makes the device and opens it for the stack.
func (k *kernel) make() {
	k.t.Helper()
	if !k.wire.tun {
		k.addVeth(k.device, "stack0", k.mtu)
		if !k.wire.tso {
			k.offloadsOff(k.device)
			k.offloadsOff("stack0")
		}
	}
	k.openDevice()
	k.do(func() error {
		return rtnetlink.SetLink(k.device, &rtnetlink.Link{Up: true, MTU: k.mtu, Address: k.mac})
	})
	k.do(func() error { return rtnetlink.UseIPv6(k.device, true) })
	k.awaitRunning(k.device)
}

func (k *kernel) offloadsOff(device string) {
	k.t.Helper()
	k.do(func() error { return rtnetlink.OffloadsOff(device) })
}

// openDevice makes a TUN, or a packet socket on the veth.
func (k *kernel) openDevice() {
	k.t.Helper()
	opts := &rawlink.OpenOptions{NoVnetHdr: !k.wire.vnet}
	k.do(func() (err error) {
		if k.wire.tun {
			k.cfg, err = rawlink.OpenTUN(k.device, opts)
		} else {
			k.cfg, err = rawlink.OpenPacket("stack0", opts)
		}
		return err
	})
	k.cfg.MTU = k.mtu
}

// openRaw puts rawlink over the descriptor, and an Endpoint over that.
func (k *kernel) openRaw() {
	k.t.Helper()
	k.cfg.Address, k.cfg.RXChecksumOffload, k.cfg.Promiscuous = k.address, k.wire.trust, k.bridge
	var err error
	k.raw, err = rawlink.New(k.cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	k.offload(k.raw)
}

// offload puts an Endpoint over the link.
func (k *kernel) offload(link stack.LinkEndpoint) {
	if k.lower = link; !k.wire.bare {
		k.e = endpoint.New(link, nil)
		k.lower = k.e
	}
}

// openFDBased puts gVisor's link over the descriptor.
func (k *kernel) openFDBased() {
	k.t.Helper()
	k.fd = k.cfg.FDs[0]
	opts := &fdbased.Options{
		FDs: []int{k.fd}, MTU: k.mtu, EthernetHeader: k.cfg.Ethernet, GRO: k.wire.gro, RXChecksumOffload: k.wire.trust,
		Address: k.address,
	}
	if k.cfg.Ethernet {
		opts.PacketDispatchMode = fdbased.RecvMMsg
	}
	if k.wire.vnet {
		opts.GSOMaxSize = 65535 // makes it ask for the virtio_net_hdr
	}
	if !k.wire.bare {
		opts.ProcessorsPerChannel = 1
	}
	link, err := fdbased.New(opts)
	if err != nil {
		k.t.Fatal(err)
	}
	k.offload(link)
}

// dropped is how many frames have been dropped and counted: by the kernel's own
// devices, as a TUN does whose reader is slow, by the packet socket, and above.
func (k *kernel) dropped() (n int) {
	k.t.Helper()
	var all []byte
	k.do(func() (err error) { all, err = os.ReadFile("/proc/thread-self/net/dev"); return err })
	for line := range strings.Lines(string(all)) {
		if f := strings.Fields(line); len(f) > 12 && (f[0] == k.device+":" || f[0] == "stack0:") {
			in, _ := strconv.Atoi(f[4])
			out, _ := strconv.Atoi(f[12])
			n += in + out
		}
	}
	if !k.wire.tun {
		s, err := unix.GetsockoptTpacketStats(k.cfg.FDs[0], unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			k.t.Fatal(err)
		}
		k.missed += int(s.Drops) // since the last call
	}
	if k.raw != nil {
		n += int(k.raw.Stats().DroppedFull)
	}
	if k.e != nil {
		n += int(k.e.Stats().DroppedQueueFull)
	}
	return n + k.missed
}

// close ends what the stack leaves open.
func (k *kernel) close() {
	if k.fd >= 0 {
		leak.Within(k.t, "fdbased", k.lower.Wait)
		unix.Close(k.fd)
	}
}
