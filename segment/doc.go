// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package segment splits TCP super-packets into packets that fit a link: generic
// segmentation offload, as Linux does it (net/ipv4/tcp_offload.c,
// tcp_gso_segment), for any carrier.
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
// Segment-size bytes of payload, the last perhaps fewer; the first sequence
// number plus what came before; FIN and PSH on the last only, CWR on the first
// only; IPv4 IDs counting up from the first, or all the same if the super-packet
// was merged so; lengths and checksums computed anew. All other header bytes, IP
// options and IPv6 extension headers included, are those of the super-packet.
//
// # The MTU rule
//
// No segment is larger than Options.MTU, whatever the segment size says. What
// cannot be split under it is an error.
//
// # When not to use it
//
// For UDP super-packets: not supported. For fragmentation: an IP packet that is
// not TCP and too large for the link is an error here, not a job.
package segment
