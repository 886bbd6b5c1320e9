// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

const (
	plainName   = "channel.Endpoint"
	memlinkName = "endpoint over memlink"
	bareName    = "memlink"
)

func comparisons() []comparison {
	rate := []string{"Gbit/s", "CPU s/GB"}
	perPacket := []string{"CPU ns/packet"}
	return []comparison{
		{"transfer", rate, [2]side{
			{plainName, measureTransfer(newChannelPair, false)},
			{memlinkName, measureTransfer(newMemlinkPair, false)},
		}},
		{"vouched", rate, [2]side{
			{plainName + ", RXChecksumOffload", measureTransfer(newChannelPair, true)},
			{memlinkName + ", RXChecksumOffload", measureTransfer(newMemlinkPair, true)},
		}},
		{"latency", []string{"round trip us"}, [2]side{
			{plainName, measureLatency(newChannelPair)},
			{memlinkName, measureLatency(newMemlinkPair)},
		}},
		{"udp", perPacket, [2]side{
			{bareName, measureFlood(false, openUDP)},
			{memlinkName, measureFlood(true, openUDP)},
		}},
		{"acks", perPacket, [2]side{
			{bareName, measureFlood(false, openACKs)},
			{memlinkName, measureFlood(true, openACKs)},
		}},
		{"mice", perPacket, [2]side{
			{bareName, measureFlood(false, openMice)},
			{memlinkName, measureFlood(true, openMice)},
		}},
	}
}
