// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// clients run in the namespace, as a process of their own. Each is given an address
// to talk to.
var clients = map[string]func(to string) error{
	"digest":  digestClient,
	"many":    manyClient,
	"later":   laterClient,
	"hurry":   hurryClient,
	"refused": refusedClient,
	"reset":   resetClient,
	"limit":   limitClient,
	"udp":     udpClient,
	"idle":    idleClient,
}

func dialTCP(to string) (*net.TCPConn, error) {
	conn, err := net.DialTimeout("tcp", to, leak.Limit)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(leak.Limit))
	return conn.(*net.TCPConn), nil
}

// digestServer answers with the digest of what it was sent, when that has ended:
// it needs a connection that can be closed one way.
func digestServer(conn *net.TCPConn) {
	h := sha256.New()
	if _, err := io.Copy(h, conn); err == nil {
		conn.Write(h.Sum(nil))
	}
}

func digestClient(to string) error { return digest(to, 8<<20) }

func digest(to string, size int) error {
	conn, err := dialTCP(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i ^ i>>8 ^ i>>16)
	}
	if _, err := conn.Write(data); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if want := sha256.Sum256(data); !bytes.Equal(got, want[:]) {
		return fmt.Errorf("digest % x, want % x", got, want)
	}
	return nil
}

// manyClient is 64 connections side by side.
func manyClient(to string) error {
	errs := make([]error, 64)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = digest(to, 64<<10+i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// laterServer sends and is done with that before it is sent anything.
func laterServer(conn *net.TCPConn) {
	conn.Write(make([]byte, 1<<20))
	conn.CloseWrite()
	io.Copy(io.Discard, conn)
}

// laterClient begins to send when the server has ended.
func laterClient(to string) error {
	conn, err := dialTCP(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil || len(got) != 1<<20 {
		return fmt.Errorf("%d bytes, %v", len(got), err)
	}
	for range 10 {
		time.Sleep(10 * time.Millisecond)
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			return fmt.Errorf("after the server's end: %w", err)
		}
	}
	return nil
}

// hurryClient ends as soon as it has handed its data to the kernel.
func hurryClient(to string) error {
	conn, err := dialTCP(to)
	if err != nil {
		return err
	}
	_, err = conn.Write(make([]byte, hurryBytes))
	return err
}

const hurryBytes = 1 << 20

func refusedClient(to string) error {
	start := time.Now()
	conn, err := net.DialTimeout("tcp", to, leak.Limit)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%v after %v, want refused", err, time.Since(start))
	}
	return nil
}

// resetServer ends the connection by RST when it has been sent something.
func resetServer(conn *net.TCPConn) {
	conn.Read(make([]byte, 1))
	conn.SetLinger(0)
}

func resetClient(to string) error {
	conn, err := dialTCP(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%v, want a reset", err)
	}
	return nil
}

// limitClient expects that two connections are let through, and a third when one of
// them is over.
func limitClient(to string) error {
	var open [2]*net.TCPConn
	for i := range open {
		var err error
		if open[i], err = dialTCP(to); err != nil {
			return err
		}
		defer open[i].Close()
	}
	if err := refusedClient(to); err != nil {
		return err
	}
	open[0].Close()
	for end := time.Now().Add(leak.Limit); ; time.Sleep(10 * time.Millisecond) {
		conn, err := dialTCP(to)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// udpServer answers with the sender's port, as it sees it, and what was sent.
func udpServer(conn net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		conn.WriteTo(fmt.Appendf(nil, "%05d%s", from.(*net.UDPAddr).Port, buf[:n]), from)
	}
}

// exchange sends a datagram, again if it is lost, and returns the port that the
// server sees.
func exchange(conn net.Conn, size int) (port string, err error) {
	data := bytes.Repeat([]byte{byte(size)}, size)
	buf := make([]byte, 1<<16)
	for range 20 {
		if _, err := conn.Write(data); err != nil {
			return "", err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		var n int
		n, err = conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			fmt.Fprintf(os.Stderr, "a datagram of %d bytes, or its answer, was lost\n", size)
		case err == nil && (n != 5+size || !bytes.Equal(buf[5:n], data)):
			return "", fmt.Errorf("%d bytes came back of a datagram of %d", n, size)
		default:
			return string(buf[:5]), err
		}
	}
	return "", err
}

// udpClient sends datagrams of all sizes, fragmented ones too: one flow outside. None
// has a last fragment of less than 4 bytes of payload, which fdbased drops.
func udpClient(to string) error {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	ports := map[string]bool{}
	for _, size := range []int{0, 1, 1000, 1472, 1480, 9000, 60000} {
		port, err := exchange(conn, size)
		if err != nil {
			return err
		}
		ports[port] = true
	}
	if len(ports) != 1 {
		return fmt.Errorf("the server saw %v: want one flow", ports)
	}
	return nil
}

// idleClient is silent for so long that its flow is given up, and then goes on.
func idleClient(to string) error {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	first, err := exchange(conn, 10)
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	second, err := exchange(conn, 10)
	if err == nil && first == second {
		err = fmt.Errorf("the server saw port %s again: the flow was not given up", first)
	}
	return err
}
