// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package peers benchmarks this library beside others that do the same work:
// gVisor's own GRO and GSO, wireguard-go's, and none at all. It is a module of its
// own, so that the library does not depend on them.
//
//	for i in $(seq 10); do go test -run '^$' -bench . -benchtime 100ms .; done > peers.txt
//	benchstat -col /impl peers.txt
//
// Each round runs every implementation once. With -count 10 each would have its ten runs
// in a row, and the speed of a machine drifts.
//
// A name ends with who does the work: /impl=none, gvisor, wireguard-go or ours.
// Tests check that each delivers the same bytes in the same order. Each peer is used
// through what it exports and at the best settings that this allows:
//
// # gVisor
//
// gro.GRO is given what it needs to merge at all in netstack, a link that vouches for
// checksums (sum=trusted); the other half of Receive, where it verifies them itself,
// measures the parts: a stack would find the sums of its merged packets wrong. One
// Flush delivers one packet of each of its 8 buckets, so Flush is called until nothing
// is left. Its GSO (stack.GVisorGSOSupported) is that of the transport: the links of
// Transfer ask for it. fdbased reads by recvmmsg into large buffers (BufConfig), and
// sends through a fifo queue, which lets it write in batches. Where queues overflow its
// transfers have been seen to stand still for good: those are skipped, with the reason.
//
// # wireguard-go
//
// Its handleGRO and gsoSplit are not exported. They are reached as its users reach
// them, through Write and Read of the native TUN device with IFF_VNET_HDR, so what is
// measured includes the system calls and the kernel's work on what it is given; ours
// and none use a TUN of the same kind in the same way. That needs Linux and root, and
// is skipped otherwise. Its tun/netstack device has neither GRO nor GSO and nothing to
// set: batches of one packet, its stack's default buffers and congestion control (reno).
package peers
