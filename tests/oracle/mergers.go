// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/netstack-offload/netstack-offload/coalesce"
	"github.com/netstack-offload/netstack-offload/segment"
	"github.com/netstack-offload/netstack-offload/tests/oracle/kernel"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// newMergeJudge compares what merges.
func newMergeJudge(gro *kernel.GRO) *judge {
	table := newTable()
	return &judge{
		takes: func([]byte) bool { return true },
		ours:  func(frames [][]byte) []left { return merge(table, frames, whole) },
		ask:   func(frames [][]byte) ([]left, error) { return kernelMerge(gro, frames) },
	}
}

// newIDJudge compares what was merged and split again. That shows whether a run
// had fixed or counting IPv4 IDs, which the kernel does not say of a merged
// packet.
func newIDJudge(bridge *kernel.Resplit) *judge {
	table := newTable()
	return &judge{
		split: true,
		takes: bridged,
		ours:  func(frames [][]byte) []left { return merge(table, frames, splitAgain) },
		ask: func(frames [][]byte) (out []left, err error) {
			answer, err := bridge.Through(frames)
			for _, data := range answer {
				out = append(out, left{data: data})
			}
			return out, err
		},
	}
}

// bridged tells what a bridge forwards (br_handle_frame): nothing from no station's
// address or to the bridge itself, and nothing too long.
func bridged(data []byte) bool {
	to, from := [6]byte(data), [6]byte(data[6:])
	reserved := [5]byte(to[:]) == [5]byte{0x01, 0x80, 0xc2}
	return from != [6]byte{} && from[0]&1 == 0 && !reserved && len(data) <= kernel.MaxBridged
}

func newTable() *coalesce.Table { return coalesce.New(&coalesce.Config{UDP: true}) }

// merge is what this library makes of the frames. take turns a run of several
// packets into what leaves.
func merge(table *coalesce.Table, frames [][]byte, take func(*coalesce.Run, packettest.Frame) []left) (out []left) {
	for i, data := range frames {
		f := newFrame(data)
		table.Add(&coalesce.Packet{
			Head: f.Data, LinkHdrLen: f.LinkHdrLen, Protocol: tcpip.NetworkProtocolNumber(f.Protocol), ID: i,
		})
	}
	for r := table.Pop(); r != nil; r = table.Pop() {
		out = append(out, take(r, newFrame(frames[r.ID]))...)
	}
	return out
}

// whole leaves a merged packet as it is.
func whole(r *coalesce.Run, first packettest.Frame) []left {
	if r.Count == 1 {
		return []left{{data: first.Data}}
	}
	data := make([]byte, r.HeaderLen+r.PayloadLen)
	r.PutHeader(data[:r.HeaderLen])
	r.CopyPayload(data[r.HeaderLen:])
	return []left{{data, r.SegmentSize}}
}

// splitAgain undoes the merging.
func splitAgain(r *coalesce.Run, first packettest.Frame) (out []left) {
	merged := whole(r, first)[0]
	if r.Count == 1 {
		return []left{merged}
	}
	for _, data := range segments(merged.data, segment.Options{
		SegmentSize: r.SegmentSize, MTU: 65535, FixedID: r.FixedID, LinkHdrLen: first.NetOffset(),
	}) {
		out = append(out, left{data: data})
	}
	return out
}

// segments splits a packet with this library. It returns nothing if the library
// refuses to.
func segments(data []byte, o segment.Options) (out [][]byte) {
	var s segment.Splitter
	if err := s.Init(data, len(data), o); err != nil {
		return nil
	}
	for i := range s.Segments() {
		off, n := s.Payload(i)
		payload := data[s.HeaderLen()+off:][:n]
		pkt := make([]byte, s.HeaderLen(), s.HeaderLen()+n)
		s.PutHeader(pkt, i, checksum.Checksum(payload, 0))
		out = append(out, append(pkt, payload...))
	}
	return out
}

// unpadded takes padding away: merging and splitting is lossless for IP packets.
func unpadded(packets []left) []left {
	out := slices.Clone(packets)
	for i := range out {
		if p := readPacket(out[i].data); p.pair != "" && p.padded() {
			out[i].data = p.frame.Data[:p.frame.NetOffset()+p.size]
		}
	}
	return out
}

// kernelMerge is what the kernel makes of the frames, checksums finished.
func kernelMerge(gro *kernel.GRO, frames [][]byte) (out []left, err error) {
	answer, err := gro.Merge(frames)
	for _, f := range answer {
		if f.NeedsCsum {
			p := readPacket(f.Data)
			if p.proto == protoUDP {
				packettest.FixUDP(p.ip, p.l4)
			} else {
				packettest.FixTCP(p.ip, p.l4)
			}
		}
		out = append(out, left{f.Data, f.GSOSize})
	}
	return out, err
}
