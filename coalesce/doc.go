// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package coalesce decides which packets of a batch are one: generic receive
// offload, as Linux does it, for the bytes of any carrier.
//
// A Table takes packets one by one (Add), holds references to them, and hands
// out runs (Pop): single packets as they came, and several packets of one flow
// that may be passed on as one. It never changes, copies or keeps a packet's
// bytes beyond that, starts no goroutine, and knows no clock.
//
// # What merges
//
// TCP segments over IPv4 and IPv6 whose headers say the same, in sequence, as
// long as splitting the result at the segment size (package segment) restores
// every byte; with Config.UDP datagrams too. That is the one law, and every rule
// follows from it: equal addresses, ports, link header, flow label, TTL, TOS, DF;
// of TCP also ACK number, window, urgent pointer and options; IPv4 IDs that count
// up or stay; no packet longer than the first, and none after a shorter one; FIN
// and PSH only at the end; at most 64 datagrams. The rules are those of Linux 6.18
// (net/core/gro.c, net/ipv4/tcp_offload.c, net/ipv4/udp_offload.c,
// net/ipv4/af_inet.c, net/ipv6/ip6_offload.c) but for four that Linux would break
// the law with or does not need: the urgent pointer is compared, a stored checksum
// of 0xffff never joins (but for UDP's, where it stands for 0), the padding of a
// short Ethernet frame is trimmed when it joins, and order is kept as described
// below.
//
// # What never merges
//
// Other protocols; fragments; IPv4 options; SYN, RST, URG and CWR; segments and
// datagrams without payload; datagrams without a checksum; wrong checksums and
// lengths. These pass, untouched. A packet that merged with nothing leaves bit for
// bit as it came.
//
// # Order
//
// Runs leave in the order of their first packets, and a passing packet has its
// own place in that order. A packet that passes closes the run of its flow, so
// packets of one flow never overtake each other. A fragment, which shows no
// ports, closes all runs of its addresses and protocol, or of both protocols where
// it shows none. The exception: a packet too malformed to show its flow closes
// nothing; runs that were begun before it leave before it, with what joined them
// later.
//
// # When not to use it
//
// Where a packet is going to be forwarded whole, unless the way out splits it
// again; see Config.EndsHere. For UDP, where a socket of netstack's receives: it
// would take many datagrams for a long one; see Config.UDP. Where batches hold one
// packet: there is nothing to merge, and the package will not wait for more.
package coalesce
