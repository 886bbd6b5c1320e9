// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// clientVariable names the client that this process is to be, with its argument.
const clientVariable = "RELAY_TEST_CLIENT"

func TestMain(m *testing.M) {
	if code, ok := playRole(); ok {
		os.Exit(code)
	}
	if what := os.Getenv(clientVariable); what != "" {
		name, argument, _ := strings.Cut(what, " ")
		if err := clients[name](argument); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kinds are the ways to read the TUN.
var kinds = [][]string{{}, {"-vnet=false"}, {"-link", "fdbased"}}

// eachKind runs a test for each of them.
func eachKind(t *testing.T, f func(t *testing.T, flags []string)) {
	for _, flags := range kinds {
		t.Run(fmt.Sprint(flags), func(t *testing.T) { f(t, flags) })
	}
}

// runRelay relays for a command and returns its output. The test fails if the
// command does.
func runRelay(t *testing.T, flags []string, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), leak.Limit)
	defer cancel()
	before := len(leak.Goroutines("netstack-offload", "gvisor.dev"))
	var out, errs bytes.Buffer
	args := append(append([]string{}, flags...), "--")
	code := run(ctx, append(args, command...), streams{nil, &out, &errs})
	if code == codeUnavailable {
		t.Skipf("needs privilege: %s", errs.String())
	}
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s", command, code, errs.String())
	}
	leak.Until(t, "the end of all goroutines", func() bool {
		return len(leak.Goroutines("netstack-offload", "gvisor.dev")) <= before
	})
	return out.String()
}

// runClient relays for one of the clients.
func runClient(t *testing.T, flags []string, client string, to netip.AddrPort) {
	t.Helper()
	t.Setenv(clientVariable, client+" "+to.String())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runRelay(t, flags, self)
}

// loopbacks are those outside, and what the namespace calls them.
var loopbacks = []struct{ outside, inside netip.Addr }{
	{netip.MustParseAddr("127.0.0.1"), hostAddr4},
	{netip.MustParseAddr("::1"), hostAddr6},
}

// inside is the address by which the namespace reaches a server on a loopback.
func inside(t *testing.T, a net.Addr) netip.AddrPort {
	t.Helper()
	addr := netip.MustParseAddrPort(a.String())
	for _, l := range loopbacks {
		if l.outside == addr.Addr() {
			return netip.AddrPortFrom(l.inside, addr.Port())
		}
	}
	t.Fatalf("%v is on no loopback", a)
	return netip.AddrPort{}
}

// serve accepts connections on a loopback until the test ends.
func serve(t *testing.T, on netip.Addr, handle func(*net.TCPConn)) net.Addr {
	t.Helper()
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(on, 0)))
	if err != nil {
		t.Skipf("no %v here: %v", on, err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	return ln.Addr()
}
