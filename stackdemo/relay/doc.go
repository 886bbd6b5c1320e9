// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Relay runs a command in a network namespace of its own and relays all TCP and UDP
// that it sends, to wherever it sends it, through netstack and ordinary sockets:
// what tun2socks does, without the SOCKS. It needs no root.
//
//	go run ./stackdemo/relay -- curl https://example.com
//	go run ./stackdemo/relay -stats -- iperf3 -c 198.18.0.1
//
// The namespace has one device, a TUN, to which its default routes point. Its other
// end is a netstack that takes every address for its own (promiscuous, spoofing),
// ends each TCP connection and UDP flow that it sees, and opens a socket to the same
// address outside. This machine's own loopback is 198.18.0.1 and fd00:c612::1 there.
//
// -link chooses how netstack reads the TUN: rawlink, the default, with super-packets
// by virtio_net_hdr, or without them (-vnet=false), or fdbased, one packet per
// system call, as tun2socks does. -h lists the flags.
//
// It is a demonstration. Names are looked up by the command itself, with the
// machine's resolv.conf, which does not work where that names a server on the
// loopback. An echo request is answered by netstack, whoever it is for.
package main
