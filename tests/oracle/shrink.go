// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// maxShrink bounds the questions that shrinking one mix may cost.
const maxShrink = 5000

// shrink returns the simplest mix found for which wrong still says something,
// and what it says.
func shrink(mix []byte, wrong func(mix []byte) (string, error)) (smallest []byte, difference string, err error) {
	difference, err = wrong(mix)
	for asked := 0; err == nil && asked < maxShrink; {
		better := false
		for _, simpler := range packettest.SimplerMixes(mix) {
			asked++
			d, e := wrong(simpler)
			if e != nil {
				return mix, difference, e
			}
			if d != "" {
				mix, difference, better = simpler, d, true
				break
			}
		}
		if !better {
			break
		}
	}
	return mix, difference, err
}

// tableRow is a mix as a row of the table of known cases, with its frames.
func tableRow(mix []byte, difference string) string {
	var s strings.Builder
	first, _, _ := strings.Cut(difference, "\n")
	fmt.Fprintf(&s, "\t{%q, \"%x\"},\n", first, mix)
	for i, a := range packettest.ParseMix(mix).Arrivals {
		fmt.Fprintf(&s, "\t// %2d: %5d bytes %x\n", i, len(a.Data), a.Data[:min(len(a.Data), 110)])
	}
	return s.String()
}
