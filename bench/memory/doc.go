// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package memory benchmarks netstack over links that lie in memory: transfers,
// in which every byte is checked, and round trips.
//
//	go test -run '^$' -bench Transfer ./bench/memory
//
// The names say which link, and whether checksums are verified or trusted:
// BenchmarkTransfer/link=endpoint-memlink/sum=verified/ip=4/flows=1. Command
// compare measures the same but interleaves the two sides of a comparison, which
// a machine whose speed drifts needs.
//
// What is no test file serves the benchmarks of bench/peers too.
package memory
