// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package kernel asks the running Linux kernel what its generic receive offload makes
// of a burst of frames (GRO), what its generic segmentation offload makes of a
// super-packet (GSO), and what the one after the other makes of a burst (Resplit).
//
// The devices live in a network namespace of their own, in which nothing has an
// address or answers. It takes root in the first user namespace, a TUN device with
// IFF_NAPI (Linux 4.15) and threaded NAPI (5.12) whose kernel thread can be seen in
// /proc; where one is missing, and on other systems, errors are ErrPrivilege.
//
// # One burst, one poll
//
// GRO merges what arrives within one NAPI poll, so that a burst must be in the
// device's queue before the poll begins. The device's kernel thread and the thread
// that writes are pinned to one CPU, both SCHED_FIFO, the writer with the higher
// priority: the kernel thread runs only when the writer sleeps. That the writer did
// not is checked after each burst (its count of context switches is what it was),
// and a burst for which it is not so is asked again.
//
// # What the kernel cannot do
//
// A kernel without CONFIG_VLAN_8021Q merges no frame with a tag. Frames written to a
// TAP have no receive hash, so that all flows share one of GRO's buckets: see MaxFlows.
// A virtio_net_hdr does not say whether merged packets had fixed or counting IPv4 IDs:
// Resplit tells them apart.
//
// # What the kernel swallows
//
// A TAP refuses frames shorter than an Ethernet header. A frame with a VLAN ethertype
// of less than 20 bytes is dropped before packet sockets see it (skb_vlan_untag).
// Everything else comes back. A bridge, so Resplit and GSO, drops more: frames from
// a multicast or zero address, frames to 01-80-C2-00-00-0X or to its own address
// (a random one), and what is larger than MaxBridged when it leaves.
package kernel

import "errors"

const (
	// MaxBurst is the most frames that one NAPI poll takes (NAPI_POLL_WEIGHT).
	MaxBurst = 64
	// MaxFlows is how many flows GRO holds in one bucket (MAX_GRO_SKBS). One more
	// evicts the oldest.
	MaxFlows = 8
	// MaxFrame is the largest frame that may be asked about: the largest IP packet
	// behind an Ethernet header with a tag.
	MaxFrame = 14 + 4 + 65535
	// MaxBridged is the largest frame that leaves a bridge: a TAP's MTU is at most
	// 65521, and bridges leave room for a tag whether there is one or not
	// (is_skb_forwardable). A tag of the frame's own may come on top of it.
	MaxBridged = 14 + 4 + 65521
)

var (
	// ErrPrivilege is in errors of Open functions that more rights, or another system,
	// would help against.
	ErrPrivilege = errors.New("not permitted or not supported here")
	// ErrRefused is in GSO.Split's errors for headers that the kernel does not accept
	// (virtio_net_hdr_to_skb): the write itself failed.
	ErrRefused = errors.New("refused by the kernel")
	// ErrDropped is in GSO.Split's errors when the write succeeded and nothing came out.
	ErrDropped = errors.New("dropped by the kernel")
	// ErrClosed is in errors of what has been closed.
	ErrClosed = errors.New("closed")
)
