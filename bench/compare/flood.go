// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/memlink"
)

const floodPort = 7777

// flood is one stack over a memlink, into which the measuring goroutine writes
// packets that cannot merge.
type flood struct {
	link *memlink.Link
	host *transfer.Host
}

func newFlood(wrapped bool) (*flood, error) {
	f := &flood{link: memlink.New(&memlink.Config{MTU: mtu})}
	var lower stack.LinkEndpoint = f.link
	if wrapped {
		lower = endpoint.New(f.link, nil)
	}
	var err error
	f.host, err = transfer.NewHost(lower, &transfer.HostConfig{Addrs: []netip.Addr{addrB}})
	return f, err
}

func (f *flood) close() {
	f.link.Close()
	f.host.Close()
}

// measureFlood returns a measurement of CPU nanoseconds per packet. open makes
// the stack ready and returns a batch that can be written again and again.
func measureFlood(wrapped bool, open func(*flood) ([][]byte, error)) func(*settings) ([]float64, error) {
	return func(s *settings) ([]float64, error) {
		f, err := newFlood(wrapped)
		if err != nil {
			return nil, err
		}
		defer f.close()
		batch, err := open(f)
		if err != nil {
			return nil, err
		}
		packets := 0
		cpu, ok := transfer.CPUTime()
		if !ok {
			return nil, errors.New("this system does not tell CPU time")
		}
		for end := time.Now().Add(s.duration); time.Now().Before(end); {
			for first := 0; first < len(batch); first += f.link.BatchSize() {
				part := batch[first:min(len(batch), first+f.link.BatchSize())]
				if _, err := f.link.Write(part, 0); err != nil {
					return nil, err
				}
				packets += len(part)
			}
		}
		cpuEnd, _ := transfer.CPUTime()
		return []float64{float64((cpuEnd - cpu).Nanoseconds()) / float64(packets)}, nil
	}
}

// openUDP binds a socket that nobody reads but for what its buffer holds: each
// datagram takes the whole way to it.
func openUDP(f *flood) ([][]byte, error) {
	local := tcpip.FullAddress{NIC: transfer.NICID, Addr: tcpip.AddrFromSlice(addrB.AsSlice()), Port: floodPort}
	conn, err := gonet.DialUDP(f.host.Stack(), &local, nil, header.IPv4ProtocolNumber)
	if err != nil {
		return nil, err
	}
	go func() {
		defer conn.Close()
		buf := make([]byte, 2048)
		for {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	batch := make([][]byte, f.link.BatchSize())
	for i := range batch {
		batch[i] = udpPacket(1200)
	}
	return batch, nil
}

// openACKs opens one connection, and sends pure ACKs that acknowledge nothing
// new on it.
func openACKs(f *flood) ([][]byte, error) {
	if err := f.listen(); err != nil {
		return nil, err
	}
	c, err := f.handshake(1024)
	if err != nil {
		return nil, err
	}
	batch := make([][]byte, f.link.BatchSize())
	for i := range batch {
		batch[i] = c.packet(header.TCPFlagAck, nil)
	}
	return batch, nil
}

// openMice opens 1000 connections and sends one full-sized packet on each, again
// and again: 1000 flows of one packet. The stack takes what repeats for
// retransmissions.
func openMice(f *flood) ([][]byte, error) {
	if err := f.listen(); err != nil {
		return nil, err
	}
	batch := make([][]byte, 1000)
	for i := range batch {
		c, err := f.handshake(uint16(1024 + i))
		if err != nil {
			return nil, err
		}
		batch[i] = c.packet(header.TCPFlagAck, make([]byte, 1448))
	}
	// What the stack acknowledges has to go somewhere.
	go func() {
		bufs, sizes := make([][]byte, f.link.BatchSize()), make([]int, f.link.BatchSize())
		for i := range bufs {
			bufs[i] = make([]byte, mtu)
		}
		for {
			if _, err := f.link.Read(bufs, sizes, 0); err != nil {
				return
			}
		}
	}()
	return batch, nil
}

func (f *flood) listen() error {
	ln, err := f.host.Listen(context.Background(), floodPort)
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := ln.Accept(); err != nil {
				return // the stack is gone, and the connections with it
			}
		}
	}()
	return nil
}

// tcpConn is the far end of a connection, as much of it as sending needs.
type tcpConn struct {
	port     uint16
	seq, ack uint32
}

// handshake opens a connection from port by hand.
func (f *flood) handshake(port uint16) (*tcpConn, error) {
	c := &tcpConn{port: port, seq: 1000}
	if _, err := f.link.Write([][]byte{c.packet(header.TCPFlagSyn, nil)}, 0); err != nil {
		return nil, err
	}
	buf, sizes := [][]byte{make([]byte, mtu)}, []int{0}
	for {
		if _, err := f.link.Read(buf, sizes, 0); err != nil {
			return nil, err
		}
		tcp := header.TCP(header.IPv4(buf[0]).Payload())
		if tcp.DestinationPort() != port {
			continue
		}
		if tcp.Flags() != header.TCPFlagSyn|header.TCPFlagAck {
			return nil, fmt.Errorf("SYN was answered with flags %v", tcp.Flags())
		}
		c.seq++
		c.ack = tcp.SequenceNumber() + 1
		_, err := f.link.Write([][]byte{c.packet(header.TCPFlagAck, nil)}, 0)
		return c, err
	}
}

func (c *tcpConn) packet(flags header.TCPFlags, payload []byte) []byte {
	tcp := header.TCP(make([]byte, header.TCPMinimumSize+len(payload)))
	tcp.Encode(&header.TCPFields{
		SrcPort: c.port, DstPort: floodPort, SeqNum: c.seq, AckNum: c.ack,
		DataOffset: header.TCPMinimumSize, Flags: flags, WindowSize: 65535,
	})
	copy(tcp.Payload(), payload)
	return ipPacket(header.TCPProtocolNumber, tcp, header.TCPChecksumOffset)
}

func udpPacket(size int) []byte {
	udp := header.UDP(make([]byte, header.UDPMinimumSize+size))
	udp.Encode(&header.UDPFields{SrcPort: 9, DstPort: floodPort, Length: uint16(len(udp))})
	return ipPacket(header.UDPProtocolNumber, udp, 6)
}

// ipPacket puts an IPv4 header in front of a transport segment and fills in both
// checksums.
func ipPacket(protocol tcpip.TransportProtocolNumber, segment []byte, checksumAt int) []byte {
	ip := header.IPv4(make([]byte, header.IPv4MinimumSize+len(segment)))
	src, dst := tcpip.AddrFromSlice(addrA.AsSlice()), tcpip.AddrFromSlice(addrB.AsSlice())
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(ip)), TTL: 64, Protocol: uint8(protocol), SrcAddr: src, DstAddr: dst,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	sum := header.PseudoHeaderChecksum(protocol, src, dst, uint16(len(segment)))
	binary.BigEndian.PutUint16(segment[checksumAt:], ^checksum.Checksum(segment, sum))
	copy(ip[header.IPv4MinimumSize:], segment)
	return ip
}
