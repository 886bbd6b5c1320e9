// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package links puts netstack on a link, in all the ways that are worth comparing,
// and measures TCP over it: against the kernel's TCP over a TUN or a veth pair, between
// two stacks in memory, and between two proxies. stackdemo and bench/measure are
// built on it.
//
// A [Run] says what to measure, a [Mode] how netstack is put on the link. [Memory] takes
// a Run over memory; a [Lab] takes the others, on Linux, in namespaces of its own,
// without root. A Lab is two more processes of the same program, so that the CPU time
// of the one that netstack runs in is netstack's alone: main, and TestMain, must call
// [PlayRole] first.
package links
