// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Oracle lets the running Linux kernel judge packages coalesce and segment: it
// makes random bursts and super-packets, asks the kernel and this library what
// becomes of them, and compares every byte.
//
//	go run ./tests/oracle -bursts 100000 -splits 100000
//
// It needs root, for TAP devices in a network namespace of its own, and leaves
// with status 1 at the first difference that is not a deliberate one, after
// printing the smallest burst that shows it. Where our rules differ from Linux
// on purpose stands in deliberate.go, each with its reason.
package main

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.bursts, "bursts", 10000, "bursts to merge")
	flag.IntVar(&o.splits, "splits", 10000, "super-packets to split")
	flag.IntVar(&o.resplits, "resplits", 2000, "bursts to merge and split again, for the IPv4 ID mode")
	flag.DurationVar(&o.limit, "for", 0, "end after this time, if not 0")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random bursts")
	mix := flag.String("burst", "", "judge this burst only, spelt in hex as a failure prints it")
	flag.Parse()

	var err error
	if *mix != "" {
		err = judgeOne(os.Stdout, *mix)
	} else {
		err = run(os.Stdout, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// judgeOne prints what becomes of one burst here and there.
func judgeOne(w *os.File, spelt string) error {
	mix, err := hex.DecodeString(spelt)
	if err != nil {
		return fmt.Errorf("oracle: -burst wants hex digits: %v", err)
	}
	c, err := newCourt()
	if err != nil {
		return err
	}
	defer c.close()
	for _, j := range []*judge{c.merges, c.ids} {
		frames := mixFrames(mix)
		theirs, err := j.ask(frames)
		if err != nil {
			return err
		}
		list(w, "here", j.ours(frames))
		list(w, "Linux", theirs)
	}
	d, err := c.wrong(mix)
	if err == nil && d != "" {
		err = fmt.Errorf("oracle: not a deliberate difference: %s", d)
	}
	return err
}

func list(w *os.File, who string, packets []left) {
	fmt.Fprintf(w, "%s:\n", who)
	for _, l := range packets {
		fmt.Fprintf(w, "  %5d bytes, segment size %5d: %x\n", len(l.data), l.segmentSize, l.data[:min(len(l.data), 100)])
	}
}

// options are the command's.
type options struct {
	bursts, splits, resplits int
	limit                    time.Duration
	seed                     uint64
}

// run judges random bursts and super-packets and prints the summary line.
func run(w *os.File, o options) error {
	c, err := newCourt()
	if err != nil {
		return err
	}
	defer c.close()
	began := time.Now()
	if o.limit > 0 {
		c.until = began.Add(o.limit)
	}
	d, err := c.random(rand.New(rand.NewPCG(o.seed, 0)), o)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s; seed %d, %.0f s\n", c.summary(), o.seed, time.Since(began).Seconds())
	if d != "" {
		return fmt.Errorf("oracle: 1 unexplained difference:\n%s", d)
	}
	return nil
}

// summary is one line about all that was judged.
func (c *court) summary() string {
	m := &c.merges.count
	var s strings.Builder
	fmt.Fprintf(&s, "%d bursts (%d merging), %d frames, %d merges of %d frames, deliberate differences:",
		m.bursts, m.merging, m.frames, m.merged, m.joined)
	for r := reason(1); r < numReasons; r++ {
		fmt.Fprintf(&s, " %v %d", r, m.reasons[r])
	}
	fmt.Fprintf(&s, "; %d bursts merged and split again (udp-fixed-id %d)", c.ids.count.bursts, c.ids.count.reasons[udpFixedID])
	fmt.Fprintf(&s, "; %d super-packets split into %d", c.splits, c.segments)
	fmt.Fprintf(&s, "; %d unexplained differences", c.unexplained)
	return s.String()
}
