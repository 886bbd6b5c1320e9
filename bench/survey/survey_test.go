// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

// TestMain plays the roles of a Lab's processes: there the program that starts itself
// again is the test.
func TestMain(m *testing.M) {
	if code, ok := links.PlayRole(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// brief is a survey of some cases, two rounds of 100 ms.
func brief(run string) *Options {
	return &Options{Rounds: 2, Duration: 100 * time.Millisecond, Run: run, Limit: 2 * time.Minute, Command: "test"}
}

// checkReport wants a report to be of just the cases that o asks for, in order, each
// with a sample a round, and these to make sense.
func checkReport(t *testing.T, o *Options, r *result.Report) {
	t.Helper()
	want, err := o.only(matrix())
	if err != nil {
		t.Fatal(err)
	}
	if r.Rounds != o.Rounds || r.Duration != o.Duration || r.Command != o.Command || r.Took <= 0 || r.Started.IsZero() {
		t.Errorf("head %+v", r)
	}
	if m := r.Machine; m.CPU == "" || m.Cores < 1 || m.OS == "" || m.Go == "" {
		t.Errorf("machine %+v", m)
	}
	if len(r.Series) != len(want) {
		t.Fatalf("%d series, want %d; notes: %s", len(r.Series), len(want), strings.Join(r.Notes, "\n"))
	}
	for i, s := range r.Series {
		if s.Case != want[i].Case || len(s.Samples) != o.Rounds {
			t.Errorf("series %d is %+v with %d samples, want %+v with %d", i, s.Case, len(s.Samples), want[i].Case, o.Rounds)
		}
		for _, x := range s.Samples {
			checkSample(t, &s.Case, &x)
		}
	}
}

func checkSample(t *testing.T, c *result.Case, x *result.Sample) {
	t.Helper()
	if c.Kind == result.Latency {
		if x.RTT.Count == 0 || x.RTT.P50 <= 0 || x.RTT.P99 < x.RTT.P50 || x.Gbps != 0 {
			t.Errorf("%s: %+v", name(c), x)
		}
		return
	}
	counts := c.Side != result.Kernel // the kernel's packets are not known
	if x.Gbps <= 0 || x.RTT.Count != 0 || (x.Packets > 0) != counts || (x.MeanBytes > 0) != counts {
		t.Errorf("%s: %+v", name(c), x)
	}
	if delivers := counts && c.Direction != result.Send; (x.PerDelivery > 0) != delivers {
		t.Errorf("%s: %v wire packets a delivery", name(c), x.PerDelivery)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	o := brief("^memory, (latency|stream), 1 flow, IPv4, MTU 1500")
	var progress bytes.Buffer
	r, err := Measure(t.Context(), o, &progress)
	if err != nil {
		t.Fatal(err)
	}
	checkReport(t, o, r)

	// Rounds are outermost, the order in each is the same.
	var got []string
	for line := range strings.Lines(progress.String()) {
		got = append(got, line[:strings.LastIndex(line, ": ")])
	}
	var want []string
	for _, round := range []string{"round 1/2: ", "round 2/2: "} {
		for _, s := range r.Series {
			want = append(want, round+name(&s.Case))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("progress was\n%s", progress.String())
	}

	var table bytes.Buffer
	if err := WriteTable(&table, r); err != nil || !strings.Contains(table.String(), "memory, latency, 1 flow, IPv4, MTU 1500") {
		t.Errorf("%v, %s", err, table.String())
	}
}

func TestKernel(t *testing.T) {
	t.Parallel()
	o := brief("^(tun|veth|veth vnet), (receive|latency), 1 flow, IPv6?4?, MTU 1500: (netstack-offload, rawlink.*verified|kernel.*)")
	o.Rounds, o.CPUProfile = 1, t.TempDir()
	r, err := Measure(t.Context(), o, t.Output())
	if err != nil {
		t.Skipf("needs privilege: %v", err)
	}
	for _, n := range r.Notes {
		if strings.Contains(n, "not measured") {
			t.Skipf("needs privilege: %s", n)
		}
	}
	checkReport(t, o, r)
	files, err := filepath.Glob(filepath.Join(o.CPUProfile, "*.pprof"))
	if err != nil || len(files) != len(r.Series) {
		t.Errorf("%d profiles of %d cases, %v", len(files), len(r.Series), err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	o := brief("^memory, latency")
	o.Rounds, o.Limit = 999, 3*time.Second
	r, err := Measure(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	last := r.Notes[len(r.Notes)-1]
	if !regexp.MustCompile("^stopped in round [0-9]+ of 999, after [01] of its 2 cases: -limit 3s is over$").MatchString(last) {
		t.Errorf("the last note is %q", last)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("had enough"))
	if r, err := Measure(ctx, brief("^memory"), t.Output()); err == nil || !strings.Contains(err.Error(), "had enough") {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestFailureIsNotTheEnd(t *testing.T) {
	t.Parallel()
	cells, err := brief("^memory, stream, 1 flow, IPv4, MTU 1500: channel, checksums verified").only(matrix())
	if err != nil || len(cells) != 1 {
		t.Fatal(cells, err)
	}
	bad := cells[0]
	bad.Mode, bad.run.Link = "broken", "nonesuch"
	s := &surveyor{
		ctx: t.Context(), o: brief(""), progress: t.Output(), started: time.Now(),
		failures: map[string]int{}, series: make([]result.Series, 2),
	}
	defer s.closeLab()
	s.rounds([]cell{bad, cells[0]})
	r, err := s.report()
	if err != nil || len(r.Series) != 1 || len(r.Series[0].Samples) != 2 || r.Series[0].Mode != "channel" {
		t.Fatalf("got %+v, %v", r, err)
	}
	last := r.Notes[len(r.Notes)-1]
	if !strings.HasPrefix(last, "memory, stream, 1 flow, IPv4, MTU 1500: broken, checksums verified: failed: ") ||
		!strings.HasSuffix(last, " (2 of 2 rounds)") {
		t.Errorf("the last note is %q", last)
	}
}

func TestOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"-rounds 0: choose":          func(o *Options) { o.Rounds = 0 },
		"-duration 1ms: choose":      func(o *Options) { o.Duration = time.Millisecond },
		"-limit 0s: choose":          func(o *Options) { o.Limit = 0 },
		"-run: error parsing":        func(o *Options) { o.Run = "(" },
		`-run "nonesuch": no case`:   func(o *Options) { o.Run = "nonesuch" },
		"-cpuprofile: mkdir /proc/x": func(o *Options) { o.CPUProfile = "/proc/x" },
	} {
		o := brief("")
		change(o)
		_, err := Measure(t.Context(), o, t.Output())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if o, err := (Options{Quick: true, Limit: time.Hour}).check(); err != nil || o.Rounds != 1 || o.Duration != quickDuration || o.Limit != quickLimit {
		t.Errorf("quick is %+v, %v", o, err)
	}
}
