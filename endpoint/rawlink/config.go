// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/netstack-offload/netstack-offload/endpoint/internal/vlan"
)

// Config describes a Link. The open functions return one that is filled in; what
// they found may be changed before New.
type Config struct {
	// FDs are the link's descriptors, one for each queue: TUN, TAP, AF_PACKET
	// (SOCK_RAW), or sockets that keep packet boundaries (SOCK_SEQPACKET,
	// SOCK_DGRAM). With New they become the Link's, which makes them
	// non-blocking and closes them in Close; if New fails they stay the
	// caller's. Several must keep the packets of a flow on one descriptor:
	// multi-queue devices and AF_PACKET fanout do.
	FDs []int
	// Name is that of the device, for errors. May be empty.
	Name string

	// MTU is the largest IP packet in bytes. 0 means 1500. What is to leave
	// and is larger is split, or dropped and counted. Frames that arrive
	// larger are dropped and counted, but with VnetHdr are taken for
	// super-packets.
	MTU uint32
	// Ethernet says that frames begin with an Ethernet header, otherwise with
	// the IP header.
	Ethernet bool
	// Address is the MAC address of the stack's side. Empty means a random
	// one. Used with Ethernet only.
	Address tcpip.LinkAddress
	// Promiscuous, which a port of a stack.BridgeEndpoint needs, passes up the frames
	// for other stations too; otherwise they are dropped and counted. A NIC that is
	// no bridge port looks at the IP address only, and takes or forwards them as its
	// own. An AF_PACKET socket has its interface receive them (PACKET_MR_PROMISC);
	// so must any other device in between. Used with Ethernet only.
	Promiscuous bool

	// VnetHdr puts a virtio_net_hdr in front of every frame, both ways: 64 KiB
	// TCP packets then pass the descriptor whole. AF_PACKET sockets are told
	// so, a TUN or TAP must have been opened with IFF_VNET_HDR, and what is at
	// the other end of a socketpair must do the same.
	VnetHdr bool
	// VnetHdrLen is the length of that header in bytes, 10 or 12. 0 means what
	// a TUN or TAP says, and 10 elsewhere.
	VnetHdrLen int

	// RingBytes, if not 0, has AF_PACKET sockets without VnetHdr receive into a
	// ring of about that many bytes, each, that they share with the kernel
	// (PACKET_RX_RING), instead of by recvmmsg. While frames come it takes no
	// system call, and in all a third less CPU; what does not find room is dropped by
	// the kernel. Unlike a socket's buffer it is allocated at once. Its places are
	// made for frames of MTU, and SetMTU does not enlarge them. A sandbox has to
	// allow the mmap in New. Off by default; OpenPacket sets it to 4 MiB, 2048 frames
	// of 1500 bytes, as much as one fast flow needs. With 8 of them, each with a
	// window of 4 MiB, 32 MiB lost less.
	RingBytes int

	// UseRead reads a TUN or TAP by read(2), which costs a fifteenth less CPU than
	// readv(2) does; super-packets still by readv. Off by default, for sandboxes
	// that allow the system calls of fdbased's data path and no other; OpenTUN and
	// OpenTAP set it.
	UseRead bool

	// RXChecksumOffload says that the checksums of what arrives need no
	// verification, by anybody: it comes from this machine's kernel, or the
	// device has verified it.
	RXChecksumOffload bool

	// Stopped, if set, is called when the link stops by itself: the device is
	// deleted or down, the peer has closed. It is called once for each Attach
	// that this happens to, on a goroutine of its own, so it may close the link
	// or remove the NIC. Err returns the same error.
	Stopped func(error)
}

// OpenOptions are common to the open functions. Nil, and a zero field, mean the
// default.
type OpenOptions struct {
	// Queues is the number of descriptors. 0 means 1. Each is read by a
	// goroutine of its own, so more than one helps where there are several
	// flows and more than one CPU to spare.
	Queues int
	// NoVnetHdr does without virtio_net_hdr, for a device whose other users do.
	NoVnetHdr bool
	// ReceiveBuffer is how many bytes wait in the kernel for a slow reader, of
	// AF_PACKET sockets only, and of those without a ring. 0 means 16 MiB, as much
	// of it as is allowed.
	ReceiveBuffer int
}

// frameSize is the size of the largest frame to be expected without
// virtio_net_hdr.
func (c *Config) frameSize() int {
	if c.Ethernet {
		return int(c.MTU) + header.EthernetMinimumSize + vlan.TagLen
	}
	return int(c.MTU)
}

const (
	defaultMTU           = 1500
	defaultReceiveBuffer = 16 << 20
	defaultRing          = 4 << 20

	// gsoMaxSize is what the IPv4 header can say.
	gsoMaxSize = 65535

	// maxBatch is the most frames received, or sent, at once.
	maxBatch = 64
)
