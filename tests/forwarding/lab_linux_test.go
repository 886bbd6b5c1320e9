// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

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
	{name: "AF_PACKET"},
	{name: "AF_PACKET vnet, TSO on", vnet: true, tso: true},
	{name: "AF_PACKET vnet, TSO off", vnet: true},
	{name: "TUN vnet, TSO on", tun: true, vnet: true, tso: true},
	{name: "TUN vnet, TSO off", tun: true, vnet: true},
}

// The two kernels: A is on 10.0.1.0/24, B on 10.0.2.0/24. Of a bridge both are on
// 10.0.1.0/24. The stack's addresses end in 254.
type kernel struct {
	*namespace
	device       string            // the kernel's own
	mac, address tcpip.LinkAddress // the kernel's own, and the stack's
	wire         wire
	mtu          uint32
	v4, v6       string
	cfg          *rawlink.Config // its FDs are nobody's yet
	lower        stack.LinkEndpoint
	raw          *rawlink.Link      // nil for fdbased
	e            *endpoint.Endpoint // nil for fdbased, and bare
	fd           int                // fdbased's
}

const bridged = true

// newKernel makes a kernel, a or b, and the link to it.
func newKernel(t *testing.T, which int, w wire, mtu uint32, bridge bool) *kernel {
	t.Helper()
	k := &kernel{namespace: newNamespace(t), device: "kernel0", mac: macs[which], wire: w, mtu: mtu, fd: -1}
	net := which
	if bridge {
		net = 1
	}
	k.v4, k.v6 = fmt.Sprintf("10.0.%d.%d", net, which), fmt.Sprintf("fd00:%d::%d", net, which)
	// A bridge takes what is for the other kernel, whose address is known here:
	// rawlink drops what is for other stations than its own.
	k.address = tcpip.LinkAddress([]byte{2, 0, 0, 0, 9, byte(which)})
	if bridge {
		k.address = macs[3-which]
	}
	k.make()
	if w.fdbased {
		k.openFDBased()
	} else {
		k.openRaw()
	}
	k.setMTU(k.device, mtu)
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
		k.addDefault(k.device, fmt.Sprintf("10.0.%d.254", net), less(adv, 40))
		k.addDefault(k.device, fmt.Sprintf("fd00:%d::fe", net), less(adv, 60))
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
var macs = map[int]tcpip.LinkAddress{1: "\x02\x00\x00\x00\x07\x01", 2: "\x02\x00\x00\x00\x07\x02"}

// make makes the device and opens it for the stack.
func (k *kernel) make() {
	k.t.Helper()
	if k.wire.tun {
		k.openDevice()
		k.setMTU(k.device, k.mtu)
		k.up(k.device)
		return
	}
	k.addVeth(k.device, "stack0")
	k.setMTU("stack0", k.mtu)
	k.setMAC(k.device, k.mac)
	if !k.wire.tso {
		k.offloadsOff(k.device)
		k.offloadsOff("stack0")
	}
	k.openDevice()
}

// openDevice makes a TUN, or a packet socket on the veth.
func (k *kernel) openDevice() {
	k.t.Helper()
	opts := &rawlink.OpenOptions{NoVnetHdr: !k.wire.vnet}
	var err error
	k.do(func() {
		if k.wire.tun {
			k.cfg, err = rawlink.OpenTUN(k.device, opts)
		} else {
			k.cfg, err = rawlink.OpenPacket("stack0", opts)
		}
	})
	k.must(err)
	k.cfg.MTU = k.mtu
}

// openRaw puts rawlink over the descriptor, and an Endpoint over that.
func (k *kernel) openRaw() {
	k.t.Helper()
	k.cfg.Address, k.cfg.RXChecksumOffload = k.address, k.wire.trust
	var err error
	k.raw, err = rawlink.New(k.cfg)
	k.must(err)
	k.offload(k.raw)
}

// offload puts an Endpoint over the link.
func (k *kernel) offload(link stack.LinkEndpoint) {
	if k.lower = link; !k.wire.bare {
		k.e = endpoint.New(link, nil)
		k.lower = k.e
	}
}

func (k *kernel) setMAC(device string, mac tcpip.LinkAddress) {
	k.t.Helper()
	k.route(unix.RTM_SETLINK, 0, attribute(link(k.index(device), 0), unix.IFLA_ADDRESS, []byte(mac)))
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
	k.must(err)
	k.offload(link)
}

// dropped is how many frames the kernel's own devices have dropped, as a TUN does
// whose reader is slow.
func (k *kernel) dropped() (n int) {
	k.t.Helper()
	var all []byte
	var err error
	k.do(func() { all, err = os.ReadFile("/proc/thread-self/net/dev") })
	k.must(err)
	for line := range strings.Lines(string(all)) {
		if f := strings.Fields(line); len(f) > 12 && (f[0] == k.device+":" || f[0] == "stack0:") {
			in, _ := strconv.Atoi(f[4])
			out, _ := strconv.Atoi(f[12])
			n += in + out
		}
	}
	return n
}

// close ends what the stack leaves open.
func (k *kernel) close() {
	if k.fd >= 0 {
		leak.Within(k.t, "fdbased", k.lower.Wait)
		unix.Close(k.fd)
	}
}
