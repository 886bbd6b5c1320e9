// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// written is the fixture's report, by file.
func written(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := fixture(t).write(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

func TestWriteMakesAllFiles(t *testing.T) {
	files := written(t)
	for _, name := range []string{
		"report.json", "report.md", "report.html", "main.svg", "flows.svg", "sizes.svg",
		"stream-veth-receive.svg", "stream-veth-send.svg", "stream-veth-vnet-send.svg", "stream-tun-receive.svg", "stream-tun-send.svg",
		"latency-tun.svg", "peers-receive.svg", "peers-tun.svg",
	} {
		if files[name] == "" {
			t.Errorf("%s was not written, or is empty", name)
		}
		delete(files, name)
	}
	for name := range files {
		t.Errorf("%s was written and is not known here", name)
	}
}

func TestPicturesAreXML(t *testing.T) {
	for name, text := range written(t) {
		if filepath.Ext(name) != ".svg" {
			continue
		}
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if texts, fit := strings.Count(text, "<text "), strings.Count(text, " textLength="); texts == 0 || texts != fit {
			t.Errorf("%s: %d texts, %d of which say how wide they are", name, texts, fit)
		}
	}
}

// TestPicturesAreInsideThePage: what is not in the page a reader does not see.
func TestPicturesAreInsideThePage(t *testing.T) {
	files := written(t)
	page := files["report.html"]
	if m := regexp.MustCompile(`(?i)(src|href)\s*=|url\(|@import|<script`).FindString(page); m != "" {
		t.Errorf("the page refers to something else: %q", m)
	}
	want := 0
	for name := range files {
		if filepath.Ext(name) == ".svg" {
			want++
		}
	}
	if got := strings.Count(page, "<svg"); got != want {
		t.Errorf("%d pictures in the page, want %d", got, want)
	}
	if strings.Contains(page, "<?xml") || strings.Contains(page, "<angles>") {
		t.Error("the page has what has to be left out, or escaped")
	}
}

func TestEverySeriesIsInATable(t *testing.T) {
	files := written(t)
	d := fixture(t)
	for i := range d.Series {
		s := &d.Series[i]
		figures := spreadText(spread(s, rate))
		if s.Kind == result.Latency {
			figures = spreadText(spread(s, p50))
		}
		checksums := or(s.Checksums, unknown)
		for name, want := range map[string]string{
			"report.md":   "| " + s.Mode + " | " + checksums + " | " + figures + " |",
			"report.html": "<td>" + s.Mode + "</td><td>" + checksums + "</td><td>" + figures + "</td>",
		} {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s has no row of %s", name, want)
			}
		}
	}
	for i := range d.Benchmarks {
		if _, rest := d.Benchmarks[i].parts(); !strings.Contains(files["report.md"], rest) {
			t.Errorf("report.md has no row of %s", d.Benchmarks[i].Name)
		}
	}
}

// TestUnknownIsNotZero: what the system did not tell is a dash.
func TestUnknownIsNotZero(t *testing.T) {
	s := &result.Series{Samples: []result.Sample{{PerDelivery: -1, Gbps: 2}, {PerDelivery: -1, Gbps: 3}}}
	if got := spreadText(spread(s, packets)); got != unknown {
		t.Errorf("unknown is %q", got)
	}
	if got := spreadText(spread(s, rate)); got != "2.5 [2–3]" {
		t.Errorf("2 and 3 are %q", got)
	}
	if got := ratios([]float64{1, 2, 3}, []float64{4, 4}); !reflect.DeepEqual(got, []float64{0.5}) {
		t.Errorf("with a run that failed: ratios %v, want one of 0.5", got)
	}
	if got := ratios([]float64{1, -1, 6, 4}, []float64{2, 2, -1, 0}); !reflect.DeepEqual(got, []float64{0.5}) {
		t.Errorf("ratios %v, want one of 0.5", got)
	}
}

func TestVerdicts(t *testing.T) {
	got := map[string]string{}
	for _, v := range fixture(t).verdicts() {
		got[v.ask.name+", "+v.want.what] = spreadText(v.got) + ": " + v.verdict()
	}
	for name, want := range map[string]string{
		"receive, AF_PACKET, 1500-byte frames / fdbased, gVisor GRO, both trusted, rate":         "3: met",
		"receive, AF_PACKET, 1500-byte frames / the same with large buffers, both trusted, rate": "2.61: not met",
		"receive, AF_PACKET, 1500-byte frames / fdbased, gVisor GRO, both trusted, CPU per GB":   "0.284: met",
		"receive, TUN with vnet header, verified / fdbased, gVisor GRO, trusted, rate":           "–: not measured",
		"send, AF_PACKET with vnet header / fdbased, host GSO, fifo, CPU per GB":                 "0.943: met",
		"receive, AF_PACKET, 1500-byte frames: 8 flows / one flow, rate":                         "1: met",
		"round trip, TUN: rawlink / fdbased, round trip, p50":                                    "1.1: not met",
		"deciding about 2048 packets of 1024 flows / of one flow, time per packet":               "1.42: met",
		"WireGuard tunnel, one flow: wgnet / wireguard-go's tun/netstack, rate":                  "3.1: not met",
		"WireGuard tunnel, one flow: wgnet / wireguard-go's tun/netstack, CPU per GB":            "0.25: met",
		"what cannot merge, UDP: endpoint over memlink / memlink, CPU per packet":                "1.02: met",
		"router, AF_PACKET, IPv4: endpoint over rawlink / rawlink, rate":                         "0.94: not met",
		"receive, AF_PACKET, 1500-byte frames: 8 flows / the peer's, sent again":                 "0.419: met",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

// TestRatiosAreOfRounds: a machine that halves its speed in the middle does not
// change the ratio.
func TestRatiosAreOfRounds(t *testing.T) {
	got := spreadOf(ratios([]float64{10, 5, 4}, []float64{5, 2.5, 1}))
	if want := (result.Spread{Median: 2, Min: 2, Max: 4}); got == nil || *got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestReportReadsBack(t *testing.T) {
	dir := t.TempDir()
	d := fixture(t)
	if err := d.write(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "report.json")
	again := t.TempDir()
	if err := run(context.Background(), &settings{from: file, out: again}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.json", "report.md", "main.svg"} {
		a, _ := os.ReadFile(filepath.Join(dir, name))
		b, err := os.ReadFile(filepath.Join(again, name))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not the same when it is drawn again (%v)", name, err)
		}
	}
	// For those who know package result alone.
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r, err := result.Read(f); err != nil || len(r.Series) != len(d.Series) {
		t.Errorf("package result reads something else: %v", err)
	}
}

// TestPartsAlone: what was not measured is left out.
func TestPartsAlone(t *testing.T) {
	all := fixture(t)
	for name, d := range map[string]*data{
		"comparison": {Report: all.Report},
		"benchmarks": {Benchmarks: all.Benchmarks},
		"one series": {Report: result.Report{Series: all.Series[:1]}},
		"one point":  {Benchmarks: []benchmark{{"coalesce.Decide/tcp4/roundrobin/flows=1", map[string][]float64{"ns/packet": {60}}}}},
	} {
		if err := d.write(t.TempDir()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		settings settings
		want     string
	}{
		{settings{}, "-o DIR"},
		{settings{out: dir, from: filepath.Join(dir, "none")}, "-from"},
		{settings{out: dir, from: file("broken", "{")}, "report.json"},
		{settings{out: dir, from: file("empty", "{}")}, "without -from"},
		{settings{out: dir, from: file("hollow", `{"series": [{"scenario": "tun", "kind": "stream"}]}`)}, "measure again"},
		{settings{out: file("file", ""), from: file("full", `{"benchmarks": [{"name": "coalesce.X"}]}`)}, "-o"},
	} {
		err := run(context.Background(), &c.settings)
		if err == nil || !strings.HasPrefix(err.Error(), "report: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want an error of report: that mentions %s", c.settings, err, c.want)
		}
	}
}

// TestBenchmarkCommands: each suite's command is one line for a shell.
func TestBenchmarkCommands(t *testing.T) {
	want := "cd bench/peers && go test -run '^$' -bench '" + suites[1].bench + "' -benchtime 50ms ."
	if got := suites[1].command(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
