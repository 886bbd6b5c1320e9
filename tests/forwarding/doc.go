// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package forwarding tests that what passes through a stack is not broken by what
// is done for traffic that ends in it: a router and a bridge between two kernels,
// each in a network namespace of its own (Linux, root), and, in memory, address
// translation, packet sockets, what changes while traffic flows, and that everything
// else is as it is without an Endpoint.
//
// Those between kernels compare captures of both sides packet by packet. A packet
// may get lost only where a counter says so: a busy machine's devices drop some.
// -short and the race detector leave some links out.
//
// Known faults of gVisor that the tests live with: forwarding over IPv4 reads a
// header that has been released, which the race detector finds over bare links too;
// forwarding somebody else's ICMP error panics over links without TX checksum
// offload (the stack's own errors, of which path MTU discovery lives, do not); and
// forwarded TCP and UDP gets a new checksum even where the old one was wrong.
package forwarding
