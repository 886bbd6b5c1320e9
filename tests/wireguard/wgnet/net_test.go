// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package wgnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
	"github.com/netstack-offload/netstack-offload/tests/wireguard/wgnet"
)

func TestDial(t *testing.T) {
	a, b := newPair(t, &wgnet.Config{DNS: []netip.Addr{b4}})
	serveTCP(t, b)
	serveUDP(t, b, 7, func(q []byte) []byte { return q })
	serveUDP(t, b, 53, answer)
	for _, c := range []struct{ network, address string }{
		{"tcp", "192.0.2.2:7"},
		{"tcp4", "192.0.2.2:7"},
		{"tcp6", "[2001:db8::2]:7"},
		{"tcp", "echo.test:7"},
		{"tcp6", "echo.test:7"},
		{"udp", "192.0.2.2:7"},
		{"udp", "[2001:db8::2]:7"},
		{"udp4", "echo.test:7"},
	} {
		t.Run(c.network+" "+c.address, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), leak.Limit)
			defer cancel()
			conn, err := a.DialContext(ctx, c.network, c.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			echo(t, conn, []byte("hello"))
		})
	}
}

func TestDialErrors(t *testing.T) {
	a, b := newPair(t, &wgnet.Config{DNS: []netip.Addr{b4}})
	serveUDP(t, b, 53, answer)
	for _, c := range []struct{ network, address string }{
		{"sctp", "192.0.2.2:7"},
		{"tcp", "192.0.2.2"},
		{"tcp", "192.0.2.2:http"},
		{"tcp6", "192.0.2.2:7"},
		{"tcp", "192.0.2.2:8"}, // nobody listens
		{"tcp", "none.test:7"},
	} {
		conn, err := a.Dial(c.network, c.address)
		var op *net.OpError
		if conn != nil || !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("Dial(%q, %q) = %v, %v: want an error of dial", c.network, c.address, conn, err)
		}
	}
}

func TestPing(t *testing.T) {
	a, _ := newPair(t, &wgnet.Config{})
	for _, c := range []struct {
		address        string
		request, reply byte
	}{{"192.0.2.2", 8, 0}, {"2001:db8::2", 128, 129}} {
		conn, err := a.Dial("ping", c.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(leak.Limit))
		if _, err := conn.Write([]byte{c.request, 0, 0, 0, 0, 0, 0, 1, 'x'}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if err != nil || n != 9 || buf[0] != c.reply || buf[8] != 'x' {
			t.Errorf("reply of %s: % x, %v", c.address, buf[:n], err)
		}
	}
}

func TestLookup(t *testing.T) {
	a, b := newPair(t, &wgnet.Config{DNS: []netip.Addr{b6}})
	serveUDP(t, b, 53, answer)
	got, err := a.LookupHost("echo.test")
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []string{"192.0.2.2", "2001:db8::2"}) {
		t.Errorf("%v, %v", got, err)
	}
	var dns *net.DNSError
	if _, err := a.LookupHost("none.test"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("a name that there is not: %v", err)
	}
}

// Close ends everything, and may be called again; wireguard-go's tun.Device says
// that Read then returns os.ErrClosed.
func TestClose(t *testing.T) {
	leak.Check(t)
	d, n, err := wgnet.New(&wgnet.Config{Addrs: []netip.Addr{a4}})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-d.Events(); e != tun.EventUp {
		t.Errorf("event %v, want up", e)
	}
	read := make(chan error)
	go func() {
		_, err := d.Read([][]byte{make([]byte, 1500)}, []int{0}, 0)
		read <- err
	}()
	leak.Within(t, "Close", func() {
		d.Close()
		d.Close()
	})
	if err := leak.Done(t, "Read", read); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, open := <-d.Events(); open {
		t.Error("an event after Close")
	}
	if _, err := n.Dial("tcp", "192.0.2.2:7"); err == nil {
		t.Error("Dial after Close succeeds")
	}
}

func TestConfigErrors(t *testing.T) {
	leak.Check(t)
	if d, _, err := wgnet.CreateNetTUN(nil, nil, 1420); err == nil || d != nil {
		t.Errorf("no addresses: %v, %v", d, err)
	}
	if d, _, err := wgnet.CreateNetTUN([]netip.Addr{a4, a4}, nil, 1420); err == nil || d != nil {
		t.Errorf("the same address twice: %v, %v", d, err)
	}
}

func echo(t *testing.T, conn net.Conn, what []byte) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(leak.Limit))
	if _, err := conn.Write(what); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(what))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, what) {
		t.Fatalf("%q came back, %v", got, err)
	}
}

// serveTCP echoes on port 7 of all addresses.
func serveTCP(t *testing.T, n *wgnet.Net) {
	t.Helper()
	ln, err := n.ListenTCP(&net.TCPAddr{Port: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ln.Shutdown()
		ln.Close()
	})
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
}

// serveUDP answers on a port of all addresses.
func serveUDP(t *testing.T, n *wgnet.Net, port int, answer func([]byte) []byte) {
	t.Helper()
	conn, err := n.ListenUDP(&net.UDPAddr{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(answer(buf[:n]), from)
		}
	}()
}

// answer is a name server that knows echo.test.
func answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) == 0 {
		return nil
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	q := m.Questions[0]
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	switch {
	case q.Name.String() != "echo.test.":
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: b4.As4()}})
	case q.Type == dnsmessage.TypeAAAA:
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: b6.As16()}})
	}
	reply, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return reply
}
