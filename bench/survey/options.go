// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Options say what to measure, and how long.
type Options struct {
	Rounds   int           // of all cases
	Duration time.Duration // of one sample
	// Quick is one round of short samples.
	Quick bool
	// Run, if not empty, is a regexp: only cases whose name it matches are measured.
	Run string
	// Limit bounds the whole. What there is by then is the report.
	Limit time.Duration
	// CPUProfile, if not empty, is a directory for a CPU profile of each case, of the
	// process that netstack runs in, in the last round.
	CPUProfile string
	// Command is noted in the report.
	Command string
}

const (
	quickDuration = 200 * time.Millisecond
	quickLimit    = 90 * time.Second
)

// AddFlags makes the flags that set o, with their defaults.
func (o *Options) AddFlags(f *flag.FlagSet) {
	f.IntVar(&o.Rounds, "rounds", 5, "`number` of rounds, in each of which every case runs once")
	f.DurationVar(&o.Duration, "duration", time.Second, "`time` of one run")
	f.BoolVar(&o.Quick, "quick", false, "everything once and short: -rounds 1 -duration "+quickDuration.String()+" -limit "+quickLimit.String())
	f.StringVar(&o.Run, "run", "", "run only the cases whose name in the progress messages matches this `regexp`")
	f.DurationVar(&o.Limit, "limit", 45*time.Minute, "`time` after which it stops, with what it has")
	f.StringVar(&o.CPUProfile, "cpuprofile", "", "write CPU profiles of the process that netstack runs in into this `directory`,\none for each case, of the last round")
}

// check returns the options as they are to be taken.
func (o Options) check() (*Options, error) {
	if o.Quick {
		o.Rounds, o.Duration, o.Limit = 1, quickDuration, min(o.Limit, quickLimit)
	}
	if _, err := regexp.Compile(o.Run); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	switch {
	case o.Rounds < 1 || o.Rounds > 999:
		return nil, fmt.Errorf("-rounds %d: choose 1 to 999", o.Rounds)
	case o.Duration < 10*time.Millisecond || o.Duration > time.Minute:
		return nil, fmt.Errorf("-duration %v: choose 10ms to 1m", o.Duration)
	case o.Limit < time.Second:
		return nil, fmt.Errorf("-limit %v: choose 1s or more", o.Limit)
	}
	return &o, nil
}

// only picks the cells that are to run.
func (o *Options) only(all []cell) ([]cell, error) {
	matches := regexp.MustCompile(o.Run) // check has tried it
	cells := slices.DeleteFunc(all, func(c cell) bool { return !matches.MatchString(name(&c.Case)) })
	if len(cells) == 0 {
		return nil, fmt.Errorf("-run %q: no case matches", o.Run)
	}
	return cells, nil
}
