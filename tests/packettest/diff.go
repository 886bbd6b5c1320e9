// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Diff compares two frames and returns "" if they are equal. Otherwise it names
// the first field that differs, as in "IPv4 ID: got 7, want 8", and dumps both.
func Diff(got, want Frame) string {
	if got.LinkHdrLen != want.LinkHdrLen || got.Protocol != want.Protocol {
		return fmt.Sprintf("frame: got link header of %d and protocol %#04x, want %d and %#04x",
			got.LinkHdrLen, got.Protocol, want.LinkHdrLen, want.Protocol)
	}
	return diff(got.Data, want.Data, want.NetOffset())
}

// DiffIP compares two bare IP packets.
func DiffIP(got, want []byte) string { return diff(got, want, 0) }

func diff(got, want []byte, net int) string {
	if bytes.Equal(got, want) {
		return ""
	}
	return fmt.Sprintf("%s\ngot:\n%swant:\n%s", firstDifference(got, want, net), dump(got), dump(want))
}

// firstDifference goes by the layout of want.
func firstDifference(got, want []byte, net int) string {
	for _, f := range layout(want, net) {
		end := f.at + f.n
		if end > len(got) || end > len(want) {
			break
		}
		if g, w := f.value(got), f.value(want); g != w {
			return fmt.Sprintf("%s: got %d, want %d", f.name, g, w)
		}
	}
	for i := 0; i < len(got) && i < len(want); i++ {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d: got %#02x, want %#02x (lengths %d and %d)", i, got[i], want[i], len(got), len(want))
		}
	}
	return fmt.Sprintf("length: got %d, want %d", len(got), len(want))
}

func dump(b []byte) string {
	const most = 256
	if len(b) > most {
		return hex.Dump(b[:most]) + fmt.Sprintf("... %d bytes in all\n", len(b))
	}
	return hex.Dump(b)
}

// field is up to 4 bytes of a header, of which mask says which bits count.
type field struct {
	name  string
	at, n int
	mask  uint32
}

func (f field) value(b []byte) uint32 {
	var v uint32
	for _, c := range b[f.at : f.at+f.n] {
		v = v<<8 | uint32(c)
	}
	if f.mask != 0 {
		v = (v & f.mask) >> bits.TrailingZeros32(f.mask)
	}
	return v
}

func at(off int, fields []field) []field {
	out := make([]field, len(fields))
	for i, f := range fields {
		f.at += off
		out[i] = f
	}
	return out
}

// layout names the fields of a frame as far as it can be understood.
func layout(b []byte, net int) []field {
	var all []field
	if net >= 14 {
		all = append(all, at(0, ethernetFields)...)
	}
	if len(b) <= net {
		return all
	}
	var proto byte
	l4 := net
	switch ip := b[net:]; {
	case ip[0]>>4 == 4 && len(ip) >= 20:
		all = append(all, at(net, ipv4Fields)...)
		proto, l4 = ip[9], net+int(ip[0]&0xf)*4
		if get16(ip[6:])&0x1fff != 0 {
			return all
		}
	case ip[0]>>4 == 6 && len(ip) >= 40:
		all = append(all, at(net, ipv6Fields)...)
		proto, l4 = ip[6], net+40
		for (proto == extHopByHop || proto == extRouting || proto == extDestOption) && l4+8 <= len(b) {
			all = append(all, at(l4, extFields)...)
			proto, l4 = b[l4], l4+8+8*int(b[l4+1])
		}
	}
	switch proto {
	case protoTCP:
		all = append(all, at(l4, tcpFields)...)
	case protoUDP:
		all = append(all, at(l4, udpFields)...)
	}
	return all
}

var ethernetFields = []field{
	{name: "Ethernet destination", at: 0, n: 4}, {name: "Ethernet destination", at: 4, n: 2},
	{name: "Ethernet source", at: 6, n: 4}, {name: "Ethernet source", at: 10, n: 2},
	{name: "Ethernet type", at: 12, n: 2},
}

var ipv4Fields = []field{
	{name: "IPv4 version and header length", at: 0, n: 1}, {name: "IPv4 TOS", at: 1, n: 1},
	{name: "IPv4 total length", at: 2, n: 2}, {name: "IPv4 ID", at: 4, n: 2},
	{name: "IPv4 flags and fragment offset", at: 6, n: 2}, {name: "IPv4 TTL", at: 8, n: 1},
	{name: "IPv4 protocol", at: 9, n: 1}, {name: "IPv4 source", at: 12, n: 4},
	{name: "IPv4 destination", at: 16, n: 4}, {name: "IPv4 checksum", at: 10, n: 2},
}

var ipv6Fields = []field{
	{name: "IPv6 traffic class", at: 0, n: 4, mask: 0xff << 20}, {name: "IPv6 flow label", at: 0, n: 4, mask: 0xfffff},
	{name: "IPv6 payload length", at: 4, n: 2}, {name: "IPv6 next header", at: 6, n: 1},
	{name: "IPv6 hop limit", at: 7, n: 1},
}

var extFields = []field{
	{name: "IPv6 extension's next header", at: 0, n: 1}, {name: "IPv6 extension's length", at: 1, n: 1},
	{name: "IPv6 extension's data", at: 2, n: 2}, {name: "IPv6 extension's data", at: 4, n: 4},
}

var tcpFields = []field{
	{name: "TCP source port", at: 0, n: 2}, {name: "TCP destination port", at: 2, n: 2},
	{name: "TCP sequence number", at: 4, n: 4}, {name: "TCP acknowledgement number", at: 8, n: 4},
	{name: "TCP data offset and reserved bits", at: 12, n: 1}, {name: "TCP flags", at: 13, n: 1},
	{name: "TCP window", at: 14, n: 2}, {name: "TCP urgent pointer", at: 18, n: 2},
	{name: "TCP checksum", at: 16, n: 2},
}

var udpFields = []field{
	{name: "UDP source port", at: 0, n: 2}, {name: "UDP destination port", at: 2, n: 2},
	{name: "UDP length", at: 4, n: 2}, {name: "UDP checksum", at: 6, n: 2},
}
