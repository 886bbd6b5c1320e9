// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package rtnetlink makes and changes network devices on Linux: what demos,
// measurements and tests need of rtnetlink(7) and ethtool, in the network namespace of
// the calling thread, and such namespaces. Elsewhere it is empty.
//
// # When not to use it
//
// In a program that manages a machine's network: nothing here lists, watches or
// changes what it has not made.
package rtnetlink
