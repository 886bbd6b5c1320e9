// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Package rawlink is a link over file descriptors: TUN, TAP, AF_PACKET, and sockets
// that keep packet boundaries, which is what sandboxes and VM monitors hand out.
// Linux only; elsewhere New returns an error.
//
//	cfg, err := rawlink.OpenTUN("tun0", nil)
//	link, err := rawlink.New(cfg)
//	s.CreateNIC(1, endpoint.New(link, nil))
//
// It reads up to 64 frames at once, into memory that it uses again, and hands each
// batch to the endpoint.Endpoint above it as borrowed frames: a packet on the wire
// costs no PacketBuffer and no change of goroutine. Super-packets lie in memory that
// the stack may keep, so that they are not copied. Without an endpoint it delivers
// one packet at a time. Either way the stack may send 64 KiB TCP packets: they are
// split, headers and payload by reference, and written many at once where the
// descriptor is a socket.
//
// # virtio_net_hdr
//
// With Config.VnetHdr, which the open functions set unless told otherwise, 64 KiB
// TCP packets pass the descriptor whole, both ways, and checksums are left to the
// kernel. That is worth more than everything else: it spares the kernel the cost
// per packet too. A TUN or TAP is asked for super-packets only while an Endpoint is
// attached, and Link.Offloads says what it grants. The Endpoint splits super-packets
// of UDP, and of TCP what the stack would not keep; where there is no Endpoint, the
// link splits them all.
//
// A TUN that is fed by this machine's own kernel has checksums that nobody made
// yet: with Config.RXChecksumOffload nobody has to.
//
// # Bridges
//
// A link drops and counts the frames for other stations. A port of a
// stack.BridgeEndpoint lives on them: set Config.Promiscuous.
//
// # Waiting, and dropping
//
// A reader waits in ppoll for its descriptor and for an eventfd that ends the wait.
// Where the kernel has no room for what is sent, WritePackets waits for at most
// 10 ms in which nothing could be written, then drops and counts, and does not wait
// again before something went through.
//
// # When it stops by itself
//
// When the device is deleted, an AF_PACKET socket's interface goes down, or the
// peer of a socket closes, all readers leave, WritePackets refuses, Wait returns,
// Config.Stopped is called and Err tells why. Attach(nil) and Attach(d) start anew,
// as after an interface came up again. A TUN or TAP that is down is silent: the
// kernel refuses what is written, which is counted, and reading goes on when it is
// up. Of a SOCK_DGRAM peer that has closed only writing tells.
//
// # System calls
//
// On the way of packets these only, all of which fdbased makes too: readv, writev,
// recvmmsg, sendmmsg, ppoll. With Config.UseRead, which OpenTUN and OpenTAP set, read
// comes to them. New and the open functions also use fstat, fcntl,
// eventfd2, getsockopt, setsockopt and ioctl; Attach uses ioctl (TUNSETOFFLOAD) on
// a TUN or TAP with virtio_net_hdr and getsockopt (SO_ERROR) on AF_PACKET, and does
// without if they fail. Config.Promiscuous, if asked for, adds getsockname in New.
// Config.RingBytes, which OpenPacket sets where there is no virtio_net_hdr, adds mmap
// in New, and takes recvmmsg away.
//
// # When not to use it
//
// For streams of length-prefixed frames (QEMU's -netdev stream, vfkit's): they keep
// no boundaries; see Example_virtualMachineStream. For AF_XDP: see gVisor's link/xdp.
package rawlink
