// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

func TestTCP(t *testing.T) {
	eachKind(t, func(t *testing.T, flags []string) {
		for _, l := range loopbacks {
			for _, c := range []struct {
				client string
				server func(*net.TCPConn)
			}{
				{"digest", digestServer}, {"many", digestServer}, {"later", laterServer}, {"reset", resetServer},
			} {
				t.Run(fmt.Sprint(c.client, " ", l.outside), func(t *testing.T) {
					runClient(t, flags, c.client, inside(t, serve(t, l.outside, c.server)))
				})
			}
		}
	})
}

// What a command sends before it ends arrives, and its end too.
func TestHurry(t *testing.T) {
	got := make(chan string, 1)
	a := serve(t, loopbacks[0].outside, func(conn *net.TCPConn) {
		n, err := io.Copy(io.Discard, conn)
		got <- fmt.Sprint(n, " ", err)
	})
	runClient(t, nil, "hurry", inside(t, a))
	if r, want := leak.Done(t, "the server", got), fmt.Sprint(hurryBytes, " <nil>"); r != want {
		t.Errorf("the server got %s, want %s", r, want)
	}
}

func TestUDP(t *testing.T) {
	eachKind(t, func(t *testing.T, flags []string) {
		for _, l := range loopbacks {
			t.Run(l.outside.String(), func(t *testing.T) {
				runClient(t, flags, "udp", serveUDP(t, l.outside))
			})
		}
	})
}

func TestUDPIdle(t *testing.T) {
	runClient(t, []string{"-udp-idle", "100ms"}, "idle", serveUDP(t, loopbacks[0].outside))
}

func serveUDP(t *testing.T, on netip.Addr) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(on, 0)))
	if err != nil {
		t.Skipf("no %v here: %v", on, err)
	}
	t.Cleanup(func() { conn.Close() })
	go udpServer(conn)
	return inside(t, conn.LocalAddr())
}

// What nobody listens to outside is refused inside, and so is what is too much.
func TestRefused(t *testing.T) {
	for _, l := range loopbacks {
		ln, err := net.Listen("tcp", netip.AddrPortFrom(l.outside, 0).String())
		if err != nil {
			t.Skipf("no %v here: %v", l.outside, err)
		}
		ln.Close()
		runClient(t, nil, "refused", inside(t, ln.Addr()))
	}
}

func TestLimit(t *testing.T) {
	hold := func(conn *net.TCPConn) { io.Copy(io.Discard, conn) }
	runClient(t, []string{"-flows", "2"}, "limit", inside(t, serve(t, loopbacks[0].outside, hold)))
}

func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<19)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	defer s.Close()
	eachKind(t, func(t *testing.T, flags []string) {
		got := runRelay(t, flags, "curl", "-sS", "--noproxy", "*", "http://"+inside(t, s.Listener.Addr()).String())
		if got != string(data) {
			t.Errorf("%d bytes that are not the %d of the server", len(got), len(data))
		}
	})
}

func TestIperf3(t *testing.T) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("iperf3 is not installed")
	}
	eachKind(t, func(t *testing.T, flags []string) {
		modes := [][]string{{}, {"-R"}}
		if len(flags) == 0 {
			modes = append(modes, []string{"-u", "-b", "20M"})
		}
		for _, mode := range modes {
			port := serveIperf3(t)
			args := append([]string{"iperf3", "-c", hostAddr4.String(), "-p", port, "-t", "1"}, mode...)
			if out := runRelay(t, flags, args...); !strings.Contains(out, "receiver") {
				t.Errorf("%v: no result in %s", args, out)
			}
		}
	})
}

// serveIperf3 serves one client on the loopback.
func serveIperf3(t *testing.T) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port, "--forceflush")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		server.Wait()
	})
	started := make(chan error, 1)
	go func() {
		buf := make([]byte, 1000)
		_, err := out.Read(buf) // "Server listening"
		started <- err
		io.Copy(io.Discard, out)
	}()
	if err := leak.Done(t, "iperf3's start", started); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	return port
}

// The exit code is the command's, whatever that is.
func TestExitCode(t *testing.T) {
	runRelay(t, nil, "true") // or skip
	for _, c := range []struct {
		command []string
		code    int
	}{
		{[]string{"sh", "-c", "exit 7"}, 7},
		{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		{[]string{"no-such-command"}, 127},
	} {
		var errs bytes.Buffer
		args := append([]string{"--"}, c.command...)
		if code := run(t.Context(), args, streams{nil, io.Discard, &errs}); code != c.code {
			t.Errorf("%v: exit code %d, want %d: %s", c.command, code, c.code, errs.String())
		}
	}
}

// When the relay is told to end, so does the command.
func TestCancel(t *testing.T) {
	runRelay(t, nil, "true") // or skip
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	done := make(chan int)
	go func() { done <- run(ctx, []string{"--", "sleep", "1000"}, streams{nil, io.Discard, io.Discard}) }()
	if code := leak.Done(t, "the relay", done); code != codeFailed {
		t.Errorf("exit code %d, want %d", code, codeFailed)
	}
}

func TestOptions(t *testing.T) {
	for _, args := range []string{"", "-link x -- true", "-mtu 100 -- true", "-flows 0 -- true", "-udp-idle 1ms -- true", "-x", "true -x"} {
		o, err := parse(strings.Fields(args), io.Discard)
		if good := args == "true -x"; (err == nil) != good {
			t.Errorf("%q: %+v, %v", args, o, err)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, streams{nil, &out, &errs}); code != 0 || !strings.Contains(out.String(), "-vnet") {
		t.Errorf("-h: exit code %d, %s%s", code, out.String(), errs.String())
	}
	if code := run(t.Context(), nil, streams{nil, &out, &errs}); code != codeFailed || !strings.HasPrefix(errs.String(), "relay: no command") {
		t.Errorf("no command: exit code %d, %s", code, errs.String())
	}
}
