// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package endpoint puts GRO and GSO between a link and gVisor's netstack.
//
//	link, err := fdbased.New(&fdbased.Options{ /* as before */ })
//	s.CreateNIC(1, endpoint.New(link, nil))
//
// netstack's cost is per packet. An Endpoint merges the small packets that the
// link delivers into large ones for the stack (package coalesce), and splits the
// large ones that the stack sends into packets that fit the link (package
// segment). Above and below nothing changes, and nothing is lost.
//
// # Batches
//
// Merging needs several packets at hand, and an Endpoint never waits for one
// more. A link that knows its batches hands them over whole: it finds that its
// dispatcher is a FrameDispatcher and calls DeliverFrames. Any other link calls
// DeliverNetworkPacket; its packets join a queue for each of a few workers,
// chosen by flow, and a worker takes what has piled up while it was busy with
// the batch before. On an idle link a packet is delivered at once.
//
// # What is merged, and what is split on its way up
//
// TCP whose packets end in this stack is merged: the NIC has the destination
// address, or is promiscuous. The super-packets of a host (Frame.GSOSize, or
// simply larger than the MTU) are passed up whole.
//
// What the stack will forward or bridge is left in the size it came in, because
// netstack refuses to send a merged packet on. Super-packets are split, at their
// segment size or at the MTU. So are those of UDP wherever they end: a socket
// takes one datagram at a time. What would become more packets than Linux makes of
// one, 128 datagrams or 8191 segments, is dropped and counted.
//
// The Endpoint asks the NIC, which is the dispatcher it is attached to, once a batch
// and destination. Where something stands between (a sniffer, a bridge) it cannot
// ask, and takes it that nothing ends here; Stats.NoNIC and Stats.Dispatcher say
// so. What a stack that translates addresses (iptables) forwards although it has the
// NIC's address is learnt from the packets that go the other way. Config.EndsHere
// overrides the NIC.
//
// # Checksums
//
// An Endpoint passes on the link's RX checksum capability and never adds it.
// Without it every packet's TCP checksum is verified before it is merged, merged
// packets carry a right one, and netstack verifies once more. With it, nobody
// verifies: the link vouches.
//
// # Ownership and goroutines
//
// Frames are borrowed for the duration of DeliverFrames, but for a Frame.View that it
// keeps. PacketBuffers given to
// DeliverNetworkPacket and WritePackets stay the caller's; an Endpoint takes
// references of its own. Workers start with the first packet that needs one.
// Attach(nil) tells them to leave and waits for none, because netstack calls it
// under a lock that they may need; Close waits for all.
package endpoint
