// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package transfer moves position-dependent data over TCP between two ends,
// checks every byte, and measures.
//
// An end is a [Node]: a [Host] is a netstack of its own over a link the caller
// gives, [Kernel] is the operating system's TCP. [Between] joins two nodes of one
// process; [SendAll] and [ReceiveAll] are its halves, for ends that live in
// two processes; [Send] and [Receive] move the data of one connection that is
// already there.
//
// What byte i of a flow is follows from i, the flow's number and the seed, so the
// receiver compares every byte with what belongs in that place: loss,
// duplication, reordering, damage and mixed-up flows all show. When the data has
// ended the receiver tells the sender how many bytes it found right, and the
// sender compares that with what it sent. That says no less than an exchange of
// checksums, and costs less CPU time than computing one (about 0.02 s/GB at the
// sender and 0.05 s/GB at the receiver).
//
// Every transfer is bounded in time, and no goroutine outlives the call that
// started it.
package transfer
