// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// bridge joins links by a stack.BridgeEndpoint, of the NIC that it returns, until the
// test ends.
func bridge(t *testing.T, ports ...stack.LinkEndpoint) (*stack.Stack, tcpip.NICID) {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{arp.NewProtocol, ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{udp.NewProtocol},
	})
	t.Cleanup(func() { leak.Within(t, "Destroy", s.Destroy) })
	coordinator := tcpip.NICID(len(ports) + 1)
	if err := s.CreateNIC(coordinator, stack.NewBridgeEndpoint(1514)); err != nil {
		t.Fatal(err)
	}
	for i, port := range ports {
		id := tcpip.NICID(i + 1)
		if err := s.CreateNIC(id, port); err != nil {
			t.Fatal(err)
		}
		if err := s.SetNICCoordinator(id, coordinator); err != nil {
			t.Fatal(err)
		}
	}
	return s, coordinator
}

// A bridge that has an address of its own takes the answers to its ARP requests for
// what they are.
func TestBridgeNeighbour(t *testing.T) {
	fd, peer := socketpair(t, unix.SOCK_SEQPACKET)
	port := open(t, &rawlink.Config{FDs: []int{fd}, Ethernet: true, Promiscuous: true})
	s, nic := bridge(t, endpoint.New(port, nil))
	local, remote := tcpip.AddrFrom4([4]byte{192, 0, 2, 1}), tcpip.AddrFrom4([4]byte{192, 0, 2, 2})
	address := tcpip.ProtocolAddress{
		Protocol:          header.IPv4ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: local, PrefixLen: 24},
	}
	if err := s.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: address.AddressWithPrefix.Subnet(), NIC: nic}})
	c, err := gonet.DialUDP(s, nil, &tcpip.FullAddress{Addr: remote, Port: 9}, header.IPv4ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("who are you?")); err != nil {
		t.Fatal(err)
	}

	answer := peer.receive() // the request, with sender and target exchanged
	mac := []byte{2, 0, 0, 0, 0, 7}
	copy(answer, answer[6:12])
	copy(answer[6:], mac)
	a := header.ARP(answer[header.EthernetMinimumSize:])
	if !a.IsValid() || a.Op() != header.ARPRequest {
		t.Fatalf("%x came, want an ARP request", answer)
	}
	a.SetOp(header.ARPReply)
	copy(a.HardwareAddressTarget(), a.HardwareAddressSender())
	copy(a.HardwareAddressSender(), mac)
	copy(a.ProtocolAddressSender(), remote.AsSlice())
	copy(a.ProtocolAddressTarget(), local.AsSlice())
	peer.send(answer)

	if got := peer.receive(); !bytes.HasPrefix(got, mac) || !bytes.HasSuffix(got, []byte("who are you?")) {
		t.Errorf("%x came, want the datagram", got)
	}
	neighbours, tcpErr := s.Neighbors(nic, header.IPv4ProtocolNumber)
	if tcpErr != nil || len(neighbours) != 1 || neighbours[0].State != stack.Reachable {
		t.Errorf("%+v, %v: want one that is reachable", neighbours, tcpErr)
	}
}

// A bridge's port takes frames for others with Promiscuous, and only then.
func TestBridge(t *testing.T) {
	for _, promiscuous := range []bool{false, true} {
		for _, bare := range []bool{false, true} {
			var links []*rawlink.Link
			var ports []stack.LinkEndpoint
			var peers []*peer
			for range 2 {
				fd, p := socketpair(t, unix.SOCK_SEQPACKET)
				l := open(t, &rawlink.Config{FDs: []int{fd}, Ethernet: true, Promiscuous: promiscuous})
				links, peers = append(links, l), append(peers, p)
				if bare {
					ports = append(ports, l)
				} else {
					ports = append(ports, endpoint.New(l, nil))
				}
			}
			bridge(t, ports...)
			there := packettest.TCP{Link: packettest.Link{Ethernet: true}, Payload: packettest.Stream(0, 1000)}.Frame().Data
			back := append(append(append([]byte{}, there[6:12]...), there[:6]...), there[12:]...)
			group := append([]byte{1, 0, 0x5e, 0, 0, 1}, there[6:]...)
			for from, frame := range [][]byte{there, back} {
				peers[from].send(frame, group)
				if promiscuous {
					if got := peers[1-from].receive(); !bytes.Equal(got, frame) {
						t.Errorf("bare %v: %x came, want %x", bare, got, frame)
					}
				}
				if got := peers[1-from].receive(); !bytes.Equal(got, group) {
					t.Errorf("promiscuous %v, bare %v: %x came, want %x", promiscuous, bare, got, group)
				}
				if s := links[from].Stats(); (s.DroppedForeign == 0) != promiscuous || s.Received != 2 {
					t.Errorf("promiscuous %v, bare %v: %+v", promiscuous, bare, s)
				}
			}
		}
	}
}

// Two kernels reach each other through a bridge of two veth pairs, by the MAC
// addresses that they have; the interfaces are told to receive what is for others.
func TestBridgeKernels(t *testing.T) {
	var labs []*lab
	var ports []stack.LinkEndpoint
	for _, address := range []string{"10.0.0.1", "10.0.0.3"} {
		l := &lab{namespace: newNamespace(t)}
		l.addVeth(kernelDevice, "stack0", 1500)
		l.addAddress(kernelDevice, address)
		var err error
		l.do(func() { l.cfg, err = rawlink.OpenPacket("stack0", nil) })
		l.must(err)
		l.cfg.Promiscuous = true
		labs, ports = append(labs, l), append(ports, endpoint.New(l.open(), nil))
		if out, err := l.command("ip", "-details", "link", "show", "stack0"); err != nil || !strings.Contains(out, "promiscuity 1") {
			t.Errorf("%v: %s", err, out)
		}
	}
	bridge(t, ports...)

	ln := labs[1].listen("10.0.0.3:80")
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	var from net.Conn
	var err error
	labs[0].do(func() { from, err = net.DialTimeout("tcp", "10.0.0.3:80", leak.Limit) })
	labs[0].must(err)
	defer from.Close()
	to := leak.Done(t, "a connection", accepted)
	defer to.Close()
	if err := pass(from, to, 1<<20); err != nil {
		t.Error(err)
	}
	if err := pass(to, from, 1<<20); err != nil {
		t.Error(err)
	}
}

// listen listens in the namespace.
func (l *lab) listen(address string) (ln net.Listener) {
	l.t.Helper()
	var err error
	l.do(func() { ln, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))) })
	l.must(err)
	return ln
}

// pass sends n bytes and wants them to arrive.
func pass(from, to net.Conn, n int) error {
	data, sent := packettest.Stream(0, n), make(chan error, 1)
	go func() {
		_, err := from.Write(data)
		sent <- err
	}()
	to.SetReadDeadline(time.Now().Add(leak.Limit))
	got := make([]byte, n)
	if _, err := io.ReadFull(to, got); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("other bytes came than were sent")
	}
	return <-sent
}
