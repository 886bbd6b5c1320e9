// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package segment splits TCP and UDP super-packets into packets that fit a link:
// generic segmentation offload, as Linux does it (net/ipv4/tcp_offload.c,
// tcp_gso_segment; net/ipv4/udp_offload.c, __udp_gso_segment), for any carrier.
//
// A Splitter reads the headers of one packet and then says, for each segment,
// which part of the payload it has, and writes its headers. The payload itself
// stays with the carrier: one that sends byte slices copies it, one that sends
// references refers to it.
//
// It is the inverse of package coalesce: what that merged under its rules splits
// into the same bytes.
//
// # What each segment gets
//
// Segment-size bytes of payload, the last perhaps fewer; IPv4 IDs counting up from
// the first, or all the same if the super-packet was merged so; lengths and
// checksums computed anew. Of TCP, the first sequence number plus what came before;
// FIN and PSH on the last only, CWR on the first only. All other header bytes, IP
// options and IPv6 extension headers included, are those of the super-packet.
//
// A datagram whose checksum computes to 0 gets 0xffff. A UDP super-packet without
// a checksum becomes datagrams without one.
//
// # The MTU rule
//
// No segment is larger than Options.MTU, whatever the segment size says. What
// cannot be split under it is an error. TCP is a stream and is split to the MTU
// where the segment size is missing or too large. The borders of datagrams mean
// something: a UDP packet is split at its segment size or not at all.
//
// # When not to use it
//
// For fragmentation: a datagram too large for the link, or an IP packet that is
// neither TCP nor UDP, is an error here, not a job. For what tunnels carry: only
// the outermost transport header is looked at.
package segment
