// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package survey measures netstack over real links, this project's endpoint beside
// gVisor's own links, each at its best, in one run: what bench/measure prints and
// bench/report draws.
//
// # Scenarios
//
//   - tun: the kernel's TCP against netstack at a TUN; modes with vnet header exchange
//     super-packets with the kernel, the others packets of the MTU.
//   - veth: the same over a veth pair, netstack at an AF_PACKET socket, Ethernet frames
//     of true MTU size with complete checksums. The ceiling is the kernel in netstack's
//     place, in a second namespace.
//   - veth vnet: with the devices' offloads on, so that super-packets pass the pair.
//   - memory: two stacks of one process, channel.Endpoint against the endpoint over
//     memlink.
//   - proxy, proxy vnet: shaped like gVisor's test/benchmarks/tcp with --client,
//     --server and --ideal: iperf3, a proxy with netstack, a veth pair, a proxy with
//     netstack, iperf3. It needs iperf3, which counts whole seconds.
//
// # Cases
//
// Not all that could be combined is measured. Every mode runs at the base point: one
// flow, IPv4, an MTU of 1500, receiving and sending. From there one thing at a time is
// varied (8 flows, 64 flows, IPv6, an MTU of 9000), with the modes that tell most:
// gVisor's best, and this project's with checksums verified. Latency, one byte there
// and back over one connection, is measured at the base point.
//
// Rounds are outermost, and within a round the modes of a scenario run one after the
// other: the machine's speed drifts, and so it drifts for all alike.
package survey
