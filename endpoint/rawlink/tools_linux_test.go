// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package rawlink_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/endpoint"
	"github.com/netstack-offload/netstack-offload/endpoint/rawlink"
)

// command runs a program in the namespace, or skips the test if it is not
// installed.
func (l *lab) command(name string, args ...string) (string, error) {
	l.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		l.t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	l.do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	return out.String(), err
}

// devices are those that the programs are tried over.
var devices = map[string]func(*testing.T) *lab{
	"TUN":             func(t *testing.T) *lab { return newTUN(t, false, nil) },
	"TUN plain":       func(t *testing.T) *lab { return newTUN(t, false, &rawlink.OpenOptions{NoVnetHdr: true}) },
	"TAP":             func(t *testing.T) *lab { return newTUN(t, true, nil) },
	"AF_PACKET":       func(t *testing.T) *lab { return newPacket(t, nil) },
	"AF_PACKET plain": func(t *testing.T) *lab { return newPacket(t, &rawlink.OpenOptions{NoVnetHdr: true}) },
}

// serve listens on one of the stack's addresses until the test ends.
func serve(t *testing.T, h *transfer.Host, v6 bool, port uint16) (net.Listener, string) {
	t.Helper()
	addr := stackAddrs[0]
	if v6 {
		addr = stackAddrs[1]
	}
	ln, err := listen(h, netip.MustParseAddr(addr), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Shutdown(); ln.Close() })
	return ln, addr
}

// curl fetches from and uploads to a server in netstack.
func TestCurl(t *testing.T) {
	content := bytes.Repeat([]byte("netstack-offload"), 1<<18) // 4 MiB
	for name, device := range devices {
		t.Run(name, func(t *testing.T) {
			l := device(t)
			h := host(t, endpoint.New(l.open(), nil), nil)
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					w.Write(content)
					return
				}
				sum := sha256.New()
				io.Copy(sum, r.Body)
				fmt.Fprintf(w, "%x", sum.Sum(nil))
			})}
			t.Cleanup(func() { server.Close() })
			for _, v6 := range []bool{false, true} {
				ln, addr := serve(t, h, v6, 80)
				go server.Serve(ln)
				url := "http://" + net.JoinHostPort(addr, "80")
				got, err := l.command("curl", "-sS", "--noproxy", "*", url)
				if err != nil || got != string(content) {
					t.Errorf("v6 %v: fetched %d bytes, %v", v6, len(got), err)
				}
				got, err = l.command("curl", "-sS", "--noproxy", "*", "-T", file, url)
				if want := fmt.Sprintf("%x", sha256.Sum256(content)); err != nil || got != want {
					t.Errorf("v6 %v: uploaded %s, %v", v6, got, err)
				}
			}
		})
	}
}

// iperf3 measures from the kernel through netstack, which relays to a server in
// the kernel: both directions of the link carry data, whichever way it goes.
func TestIperf(t *testing.T) {
	path, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip("iperf3 is not installed")
	}
	for name, device := range devices {
		t.Run(name, func(t *testing.T) {
			l := device(t)
			h := host(t, endpoint.New(l.open(), nil), nil)
			server := exec.Command(path, "-s", "-B", "127.0.0.1")
			l.do(func() { l.must(server.Start()) })
			t.Cleanup(func() { server.Process.Kill(); server.Wait() })
			for _, v6 := range []bool{false, true} {
				ln, addr := serve(t, h, v6, 5201)
				go l.relay(ln, "127.0.0.1:5201")
				for _, reverse := range [][]string{nil, {"-R"}} {
					args := append([]string{"-c", addr, "-n", "8M", "-P", "2", "--connect-timeout", "5000"}, reverse...)
					out, err := l.command("iperf3", args...)
					for i := 0; i < 500 && err != nil && (strings.Contains(out, "refused") || strings.Contains(out, "busy")); i++ {
						time.Sleep(20 * time.Millisecond) // the server starts, or has not done with the one before
						out, err = l.command("iperf3", args...)
					}
					if err != nil || !strings.Contains(out, "receiver") {
						t.Errorf("v6 %v %v: %v\n%s", v6, reverse, err, out)
					}
				}
			}
		})
	}
}

// relay joins each connection to one to a server in the kernel.
func (l *lab) relay(ln net.Listener, to string) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		var out net.Conn
		l.do(func() {
			for range 100 {
				if out, err = net.Dial("tcp", to); err == nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		if err != nil {
			in.Close()
			continue
		}
		join := func(dst, src net.Conn) {
			io.Copy(dst, src)
			if half, ok := dst.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
		}
		go func() {
			done := make(chan struct{})
			go func() { join(out, in); close(done) }()
			join(in, out)
			<-done
			in.Close()
			out.Close()
		}()
	}
}
