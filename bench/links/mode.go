// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import "github.com/netstack-offload/netstack-offload/bench/result"

// Mode is a way to put netstack on a link. Not every combination means something.
type Mode struct {
	Name    string
	GRO     bool // gVisor's
	GSO     bool // gVisor's
	HostGSO bool // fdbased hands super-packets to the kernel
	Large   bool // fdbased reads into few large buffers
	Trust   bool // RXChecksumOffload
	Queue   int  // packets in qdisc/fifo, 0 for none
	Offload bool // endpoint.New around the link
	Raw     bool // the link is rawlink
	Vnet    bool // with virtio_net_hdr, both ways
	// Kernel puts the kernel's TCP in netstack's place, in another namespace; HostGSO
	// then leaves the device's offloads on. Over a veth pair only.
	Kernel bool
}

// What becomes of the checksums of received packets.
const (
	Verified = "verified"
	Trusted  = "trusted" // as the link vouches for them
)

// Checksums is Verified or Trusted.
func (m *Mode) Checksums() string {
	if m.Trust {
		return Trusted
	}
	return Verified
}

// Side is whose the mode is, in the words of package result.
func (m *Mode) Side() string {
	switch {
	case m.Kernel:
		return result.Kernel
	case m.Offload:
		return result.Ours
	}
	return result.Peer
}

// Super tells whether the device may carry more than its MTU at once.
func (m *Mode) Super() bool { return m.Vnet || m.HostGSO }

// fifoPackets is how many packets qdisc/fifo may hold.
const fifoPackets = 1000

// Links.
const (
	TUN  = "tun"
	Veth = "veth"
)

// Link is a link between the kernel and netstack, and the modes that say something
// about it.
type Link struct {
	Title              string
	Receiving, Sending []Mode
	Notes              []string
}

// Links has those that there are.
var Links = map[string]*Link{
	TUN: {
		Title: "TUN",
		Receiving: []Mode{
			{Name: "fdbased"},
			// gVisor's GRO works over a TUN only where checksums are trusted: without, what
			// it merges is dropped, and the connection lives on retransmitted single segments.
			{Name: "fdbased, gVisor GRO", GRO: true, Trust: true},
			{Name: "fdbased, gVisor GRO, large buffers", GRO: true, Trust: true, Large: true},
			{Name: "netstack-offload, fdbased", Offload: true},
			{Name: "netstack-offload, rawlink", Offload: true, Raw: true},
			{Name: "netstack-offload, rawlink", Offload: true, Raw: true, Trust: true},
			{Name: "netstack-offload, rawlink, vnet header", Offload: true, Raw: true, Vnet: true},
			{Name: "netstack-offload, rawlink, vnet header", Offload: true, Raw: true, Vnet: true, Trust: true},
		},
		// fdbased has GSO for sockets only; batching in qdisc/fifo is what is left on a TUN.
		Sending: []Mode{
			{Name: "fdbased"},
			{Name: "fdbased, fifo", Queue: fifoPackets},
			{Name: "netstack-offload, fdbased", Offload: true},
			{Name: "netstack-offload, fdbased, fifo", Offload: true, Queue: fifoPackets},
			{Name: "netstack-offload, rawlink", Offload: true, Raw: true},
			{Name: "netstack-offload, rawlink, fifo", Offload: true, Raw: true, Queue: fifoPackets},
			{Name: "netstack-offload, rawlink, vnet header", Offload: true, Raw: true, Vnet: true},
			{Name: "netstack-offload, rawlink, vnet header, fifo", Offload: true, Raw: true, Vnet: true, Queue: fifoPackets},
		},
		Notes: []string{
			"a TUN: each system call reads or writes one packet, no larger than the MTU, or, with vnet header, of up to 64 KiB",
			"gVisor's own at its best: fdbased has no GSO on a TUN (fifo batches), and with its GRO next to nothing arrives unless checksums are trusted",
		},
	},
	Veth: {
		Title: "veth",
		Receiving: []Mode{
			{Name: "fdbased"},
			// Over Ethernet gVisor's GRO merges only where checksums are trusted.
			{Name: "fdbased, gVisor GRO", GRO: true, Trust: true},
			{Name: "fdbased, gVisor GRO, large buffers", GRO: true, Trust: true, Large: true},
			{Name: "netstack-offload, fdbased", Offload: true},
			{Name: "netstack-offload, rawlink", Offload: true, Raw: true},
			{Name: "netstack-offload, rawlink", Offload: true, Raw: true, Trust: true},
		},
		Sending: []Mode{
			{Name: "fdbased"},
			{Name: "fdbased, gVisor GSO, fifo", GSO: true, Queue: fifoPackets},
			{Name: "netstack-offload, fdbased", Offload: true},
			// fdbased throws the header away that says which checksums are still to be made.
			{Name: "fdbased, host GSO, fifo", HostGSO: true, Trust: true, Queue: fifoPackets},
			{Name: "netstack-offload, fdbased, fifo", Offload: true, Queue: fifoPackets},
			{Name: "netstack-offload, rawlink", Offload: true, Raw: true},
			{Name: "netstack-offload, rawlink, fifo", Offload: true, Raw: true, Queue: fifoPackets},
			{Name: "netstack-offload, rawlink, vnet header", Offload: true, Raw: true, Vnet: true},
			{Name: "netstack-offload, rawlink, vnet header, fifo", Offload: true, Raw: true, Vnet: true, Queue: fifoPackets},
		},
		Notes: []string{
			"a veth pair, netstack at an AF_PACKET socket of one end: Ethernet frames no larger than the MTU, with complete checksums (tso, gso, gro and tx are off); fdbased reads with RecvMMsg",
			"host GSO and vnet header: super-packets of 64 KiB with partial checksums pass the pair whole",
			"gVisor's own at its best: its GRO merges Ethernet frames only where checksums are trusted",
		},
	},
}

// MemoryModes are those of two stacks that are joined in memory.
var MemoryModes = []Mode{
	{Name: "channel"},
	{Name: "channel, gVisor GSO", GSO: true},
	{Name: "netstack-offload, memlink", Offload: true},
	{Name: "netstack-offload, memlink", Offload: true, Trust: true},
}
