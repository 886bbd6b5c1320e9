// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// iperf runs iperf3 from A to B for a second or so, or the other way, and returns
// its rate in Mbit/s and that of its slowest interval of a quarter of a second, or
// zeros if it fails.
func (l *between) iperf(t *testing.T, v6, back bool, seconds int) (rate, slowest float64) {
	t.Helper()
	path, err := exec.LookPath("iperf3")
	if err != nil {
		t.Skip("iperf3 is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	addr := l.b.v4
	if v6 {
		addr = l.b.v6
	}
	start := func(n *namespace, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.CommandContext(ctx, path, args...)
		out := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		var err error
		n.do(func() { err = cmd.Start() })
		if err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	server, serverOut := start(l.b.namespace, "-s", "-1", "-B", addr)
	defer server.Wait()
	defer server.Process.Kill()
	args := []string{"-c", addr, "-J", "-t", fmt.Sprint(seconds), "-i", "0.25"}
	if back {
		args = append(args, "-R")
	}
	for range 50 { // until the server listens
		client, out := start(l.a.namespace, args...)
		err := client.Wait()
		var report struct {
			Error     string
			Intervals []struct {
				Sum struct {
					Rate float64 `json:"bits_per_second"`
				}
			}
			End struct {
				Received struct {
					Rate float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
		}
		if jsonErr := json.Unmarshal(out.Bytes(), &report); jsonErr != nil {
			t.Logf("iperf3: %v: %s", err, out) // killed, as it stands still
			return 0, 0
		}
		if strings.Contains(report.Error, "refused") {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err != nil || report.Error != "" {
			t.Logf("iperf3: %v: %s\n%s", err, report.Error, serverOut)
			return 0, 0
		}
		var rates []float64
		for _, i := range report.Intervals {
			rates = append(rates, i.Sum.Rate/1e6)
		}
		return report.End.Received.Rate / 1e6, slices.Min(rates)
	}
	t.Fatal("iperf3: the server does not listen")
	return 0, 0
}

// iperf3 runs at speed, in both directions, and never stands still.
func TestIperf3(t *testing.T) {
	for _, w := range wires {
		for _, mtu := range []uint32{1500, 1400} {
			t.Run(fmt.Sprintf("router/%s/%d", w.name, mtu), func(t *testing.T) {
				l := newRouted(t, w, mtu)
				if mtu < 1500 {
					l.a.sysctl("ipv4/tcp_mtu_probing", "2") // for IPv6: see TestPacketTooBig
				}
				l.runs(t, families)
			})
		}
		if !w.tun {
			t.Run("bridge/"+w.name, func(t *testing.T) { newBridged(t, w, 1500).runs(t, []bool{false, true}) })
		}
	}
}

func (l *between) runs(t *testing.T, families []bool) {
	t.Helper()
	floor := 20.0 // what stalls makes 0.2
	if raceDetector {
		floor = 2
	}
	for _, v6 := range families {
		for _, back := range []bool{false, true} {
			rate, slowest := l.iperf(t, v6, back, 1)
			t.Logf("v6 %v, back %v: %.0f Mbit/s, at least %.0f", v6, back, rate, slowest)
			if rate < floor || slowest == 0 {
				t.Errorf("v6 %v, back %v: %.1f Mbit/s, at least %.1f", v6, back, rate, slowest)
			}
		}
	}
}
