// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package forwarding

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// iperf runs iperf3 from A to B, or the other way, for as much as the arguments say,
// and returns its rate in Mbit/s and that of its slowest interval of a quarter of a
// second, or zeros if it fails.
func (l *between) iperf(t testing.TB, v6, back bool, amount ...string) (rate, slowest float64) {
	t.Helper()
	if _, err := exec.LookPath("iperf3"); err != nil {
		t.Skip("iperf3 is not installed")
	}
	addr := l.b.v4
	if v6 {
		addr = l.b.v6
	}
	l.iperfServer.Do(func() { start(t, l.b.namespace, "-s") })
	args := append([]string{"-c", addr, "-J", "-i", "0.25"}, amount...)
	if back {
		args = append(args, "-R")
	}
	for range 100 { // until the server listens, and has done with the one before
		client, out := start(t, l.a.namespace, args...)
		kill := time.AfterFunc(iperfLimit(t), func() { client.Process.Kill() })
		err := client.Wait()
		kill.Stop()
		var r iperfReport
		if jsonErr := json.Unmarshal(out.Bytes(), &r); jsonErr != nil {
			t.Logf("iperf3: %v: %s", err, out) // killed, as it stands still
			return 0, 0
		}
		if strings.Contains(r.Error, "refused") || strings.Contains(r.Error, "busy") {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err != nil || r.Error != "" {
			t.Logf("iperf3: %v: %s", err, r.Error)
			return 0, 0
		}
		var rates []float64
		for _, i := range r.Intervals {
			rates = append(rates, i.Sum.Rate/1e6)
		}
		return r.End.Received.Rate / 1e6, slices.Min(rates)
	}
	t.Fatal("iperf3: the server does not listen")
	return 0, 0
}

// iperfLimit is how long a run of a second or a few megabytes may take. What stalls
// makes 0.3 Mbit/s; of those that are measured some do.
func iperfLimit(t testing.TB) time.Duration {
	if _, measured := t.(*testing.B); measured {
		return 5 * time.Second
	}
	return 25 * time.Second
}

// start starts iperf3 in a namespace; it ends with the test.
func start(t testing.TB, n *namespace, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "iperf3", args...)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	n.do(cmd.Start)
	t.Cleanup(func() { cmd.Wait() })
	return cmd, out
}

// iperfReport is what iperf3 -J prints.
type iperfReport struct {
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
