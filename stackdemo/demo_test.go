// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

func TestRowsAreMedians(t *testing.T) {
	a, b := label{"in", "a", links.Verified}, label{"in", "b", links.Trusted}
	c := newCollector(3, io.Discard)
	for round, rates := range [][2]float64{{2, 9}, {1, 8}, {4, 6}} {
		c.emit(round, sample{label: a, Gbps: rates[0], Packets: uint64(rates[0])})
		c.emit(round, sample{label: b, Gbps: rates[1], Packets: uint64(rates[1])})
	}
	rows := c.rows()
	if len(rows) != 2 || rows[0].Packets != 2 || rows[1].Packets != 8 || rows[1].Ratio != 4 {
		t.Errorf("got %+v", rows)
	}
	if got := rows[1].Rates; len(got) != 3 || got[0] != 9 || got[2] != 6 {
		t.Errorf("rates %v", got)
	}
}

func TestTable(t *testing.T) {
	r := &report{
		Link: "memory", MTU: 1500, Flows: 1, Rounds: 3, SecondsPerRun: 1.5, CongestionControl: "cubic",
		Rows: []row{
			{sample: sample{label{"in", "plain", links.Verified}, 2.5, 6.04, 1000, 1446, 12}, Ratio: 1},
			{sample: sample{label{"in", "better", links.Trusted}, 10, -1, 30, 60000, 0}, Ratio: 4},
		},
		Notes: []string{"a note"},
	}
	const want = `
memory, MTU 1500, 1 TCP flow over IPv4, cubic at both ends; median of 3 runs of 1.5 s

direction  mode    checksums   Gbit/s   CPU/GB    packets  mean bytes  resent   ratio
in         plain   verified      2.50     6.04       1000        1446      12   1.00x
in         better  trusted      10.00        -         30       60000       0   4.00x

* a note
`
	if got := r.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFailureNamesTheRow(t *testing.T) {
	bad := trial{
		label: label{"in", "plain", links.Verified},
		run: func(context.Context, uint64) (sample, error) {
			return sample{}, &transfer.WrongByteError{Offset: 7, Got: 1, Want: 2}
		},
	}
	var stderr bytes.Buffer
	err := rounds(t.Context(), []trial{bad}, 1, newCollector(1, &stderr).emit)
	if err == nil || !strings.HasPrefix(err.Error(), "in, plain, checksums verified: transfer: flow 0: byte 7 is 0x01") {
		t.Errorf("got %v", err)
	}
}
