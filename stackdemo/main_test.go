// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/links"
)

// TestMain plays the roles of the demo's other processes: there the program that
// starts itself again is the test.
func TestMain(m *testing.M) {
	if code, ok := links.PlayRole(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// demo runs the whole demo, a short run of each mode.
func demo(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{"-rounds", "1", "-duration", "100ms"}, args...)
	code = run(ctx, args, &out, &errs)
	return out.String(), errs.String(), code
}

// checkReport compares what heads the table, and wants rows of each direction.
func checkReport(t *testing.T, stdout string, want report, rows ...int) {
	t.Helper()
	var got report
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if got.Link != want.Link || got.MTU != want.MTU || got.Flows != want.Flows || got.IPv6 != want.IPv6 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var directions []string
	var counts []int
	for _, r := range got.Rows {
		if n := len(directions); n == 0 || directions[n-1] != r.Direction {
			directions, counts = append(directions, r.Direction), append(counts, 0)
		}
		counts[len(counts)-1]++
		if r.Gbps <= 0 || r.Packets == 0 || r.MeanBytes <= 0 || r.Ratio <= 0 || len(r.Rates) != 1 {
			t.Errorf("row %+v", r)
		}
		const ethernet = 14 // counted in what is sent
		merges := strings.Contains(r.Mode, "GRO") || strings.Contains(r.Mode, "host GSO")
		if r.Mode[:7] == "fdbased" && !merges && r.MeanBytes > float64(got.MTU+ethernet) {
			t.Errorf("%s: packets of %v bytes with an MTU of %d", r.label, r.MeanBytes, got.MTU)
		}
	}
	if !slices.Equal(counts, rows) {
		t.Errorf("%v have %v rows, want %v", directions, counts, rows)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := demo(t, "-link", "memory", "-json", "-flows", "2", "-ipv6", "-mtu", "1400")
	if code != 0 {
		t.Fatal(stderr)
	}
	checkReport(t, stdout, report{Link: "memory", MTU: 1400, Flows: 2, IPv6: true}, 4)
}

// TestKernel runs every mode over IPv4, and over IPv6 those that are this project's.
func TestKernel(t *testing.T) {
	const ours = "netstack-offload.*verified"
	for name, c := range map[string]struct {
		args []string
		want report
		rows []int
	}{
		"TUN/IPv4": {[]string{"-link", "tun"}, report{MTU: 1500, Flows: 1}, []int{8, 8}},
		"TUN/IPv6": {
			[]string{"-link", "tun", "-run", ours, "-ipv6", "-flows", "3", "-mtu", "9000"},
			report{MTU: 9000, Flows: 3, IPv6: true}, []int{3, 6},
		},
		"veth/IPv4": {[]string{"-link", "veth"}, report{MTU: 1500, Flows: 1}, []int{6, 9}},
		"veth/IPv6": {
			[]string{"-link", "veth", "-run", ours, "-ipv6", "-flows", "3", "-mtu", "9000"},
			report{MTU: 9000, Flows: 3, IPv6: true}, []int{2, 6},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := demo(t, append(c.args, "-json")...)
			if code != 0 && strings.Contains(stderr, "use -link auto") {
				t.Skip("needs privilege: " + stderr)
			}
			if code != 0 {
				t.Fatal(stderr)
			}
			c.want.Link = strings.Split(name, "/")[0] + " between kernel and netstack"
			checkReport(t, stdout, c.want, c.rows...)
		})
	}
}

func TestCPUProfile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "profile")
	_, stderr, code := demo(t, "-link", "tun", "-run", "to netstack, fdbased, checksums", "-cpuprofile", file)
	if code != 0 && strings.Contains(stderr, "use -link auto") {
		t.Skip("needs privilege: " + stderr)
	}
	if code != 0 {
		t.Fatal(stderr)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the profile: %v, %v", info, err)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-flows 0", "stackdemo: -flows 0: choose 1 to 64"},
		{"-flows many", "see stackdemo -h"},
		{"-mtu 576", "stackdemo: -mtu 576: choose 1280 to 65535"},
		{"-duration 1ms", "stackdemo: -duration 1ms: choose"},
		{"-rounds 0", "stackdemo: -rounds 0: choose"},
		{"-stall 0s", "stackdemo: -stall 0s: choose"},
		{"-link tap", `stackdemo: -link "tap": choose auto, tun, veth or memory`},
		{"-run (", "stackdemo: -run: error parsing regexp"},
		{"-link memory -run nonesuch", `stackdemo: -run "nonesuch": no mode matches`},
		{"-link memory -cpuprofile /nonesuch/file", "stackdemo: -cpuprofile: open /nonesuch/file"},
		{"-nonesuch", "see stackdemo -h"},
		{"now", "stackdemo: \"now\" is not a flag"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), io.Discard, &stderr)
		got := stderr.String()
		if code == 0 || !strings.HasPrefix(got, "stackdemo: ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: exit code %d, %q", c.args, code, got)
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); err != flag.ErrHelp {
		t.Errorf("-h: %v", err)
	}
}
