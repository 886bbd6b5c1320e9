// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package wgnet is a network device for wireguard-go (golang.zx2c4.com/wireguard)
// that is a netstack: what its package tun/netstack is, over a memlink, in batches
// of 128 packets instead of one.
//
//	dev, tnet, err := wgnet.CreateNetTUN(addrs, dns, 1420) // was: netstack.CreateNetTUN
//	wg := device.NewDevice(dev, conn.NewDefaultBind(), logger)
//	conn, err := tnet.DialContext(ctx, "tcp", "example.com:80")
//
// All that matters is in device.go and link.go: a tun.Device's Read, Write and
// BatchSize are those of memlink.Link. Copy them, and make the stack as you like.
//
// # Checksums
//
// By default the checksum of every packet is verified, although WireGuard has
// authenticated it: that says who sent the packet, not that what the sender's stack
// made is right, and a peer may send anything. What a wrong checksum can do is
// little, and to nobody but the connections with that peer: data that was damaged
// before it was encrypted is taken as it is. Where that is all one, as between
// machines of one owner, Config.RXChecksumOffload spares the work, which through a
// tunnel is too little of the whole to be measured. Leave it off in a stack that
// forwards.
package wgnet
