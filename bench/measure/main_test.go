// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

func TestMain(m *testing.M) {
	if code, ok := links.PlayRole(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func TestJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	args := []string{"-rounds", "2", "-duration", "100ms", "-run", "^memory, latency", "-json", file}
	var stdout bytes.Buffer
	if code := run(t.Context(), args, &stdout, t.Output()); code != 0 {
		t.Fatal(code)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := result.Read(f)
	if err != nil || len(r.Series) != 2 || len(r.Series[1].Samples) != 2 || r.Command != "go run ./bench/measure "+strings.Join(args, " ") {
		t.Errorf("read %+v, %v", r, err)
	}
	if got := stdout.String(); !strings.Contains(got, "memory, latency, 1 flow, IPv4, MTU 1500  p50 us") {
		t.Errorf("printed %q", got)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-rounds 0", "measure: -rounds 0: choose"},
		{"-rounds many", "see measure -h"},
		{"-duration 1ms", "measure: -duration 1ms: choose"},
		{"-run nonesuch", `measure: -run "nonesuch": no case matches`},
		{"-json /nonesuch/file", "measure: -json: open /nonesuch/file"},
		{"now", `measure: "now" is not a flag`},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), io.Discard, &stderr)
		if got := stderr.String(); code != 1 || !strings.HasPrefix(got, "measure: ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: exit code %d, %q", c.args, code, got)
		}
	}
	var help bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &help, io.Discard); code != 0 || !strings.Contains(help.String(), "-quick") {
		t.Errorf("-h: exit code %d, %q", code, help.String())
	}
}
