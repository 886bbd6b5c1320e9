// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/links"
	"github.com/netstack-offload/netstack-offload/bench/profile"
	"github.com/netstack-offload/netstack-offload/bench/result"
)

// Measure runs the survey, and says on progress how it goes. main, and TestMain, must
// have called links.PlayRole first. What cannot be measured, or fails, is in the
// report's notes; when ctx is done or the limit is reached, the report is of what there
// is by then. It returns an error if the options are wrong or nothing was measured.
func Measure(ctx context.Context, o *Options, progress io.Writer) (*result.Report, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	cells, err := o.only(matrix())
	if err != nil {
		return nil, err
	}
	if o.CPUProfile != "" {
		if err := os.MkdirAll(o.CPUProfile, 0o777); err != nil {
			return nil, fmt.Errorf("-cpuprofile: %w", err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("-limit %v is over", o.Limit))
	defer cancel()
	s := &surveyor{ctx: ctx, o: o, progress: progress, started: time.Now(), failures: map[string]int{}}
	defer s.closeLab()
	cells = s.available(cells)
	s.series = make([]result.Series, len(cells))
	s.rounds(cells)
	return s.report()
}

// A surveyor is a run of the survey.
type surveyor struct {
	ctx      context.Context
	o        *Options
	progress io.Writer
	started  time.Time
	lab      *links.Lab // nil until it is needed, and after a failure
	control  string
	series   []result.Series
	failures map[string]int // by case and error
	failed   []string       // their keys, in order
	notes    []string
}

// available leaves out the scenarios that cannot be had here, with a note.
func (s *surveyor) available(cells []cell) []cell {
	why := map[string]error{}
	for _, c := range cells {
		if _, known := why[c.Scenario]; known {
			continue
		}
		err := s.probe(&c.run)
		why[c.Scenario] = err
		if err != nil {
			s.closeLab()
			s.note("%s: not measured: %v", c.Scenario, err)
		}
	}
	return slices.DeleteFunc(cells, func(c cell) bool { return why[c.Scenario] != nil })
}

func (s *surveyor) probe(r *links.Run) error {
	if r.Link == "" {
		return nil
	}
	if _, err := exec.LookPath("iperf3"); r.Proxy && err != nil {
		return err
	}
	if err := s.openLab(); err != nil {
		return err
	}
	return s.lab.Probe(r)
}

func (s *surveyor) openLab() (err error) {
	if s.lab != nil {
		return nil
	}
	lab, err := links.Open(s.ctx)
	if err == nil {
		s.lab, s.control = lab, lab.CongestionControl
	}
	return err
}

func (s *surveyor) closeLab() {
	if s.lab != nil {
		s.lab.Close()
		s.lab = nil
	}
}

// rounds runs every case once a round.
func (s *surveyor) rounds(cells []cell) {
	for i, c := range cells {
		s.series[i].Case = c.Case
	}
	for round := range s.o.Rounds {
		for i := range cells {
			if s.over() {
				s.note("stopped in round %d of %d, after %d of its %d cases: %v",
					round+1, s.o.Rounds, i, len(cells), context.Cause(s.ctx))
				return
			}
			c := &cells[i]
			c.run.Transfer.Seed = uint64(round*len(cells) + i + 1)
			sample, err := s.run(c)
			if err != nil {
				if s.ctx.Err() == nil {
					s.fail(round, c, err)
				}
				continue
			}
			s.series[i].Samples = append(s.series[i].Samples, sample)
			s.say(round, c, outcome(c, &sample))
		}
	}
}

// over tells whether to stop: no run is started that has no time to end.
func (s *surveyor) over() bool {
	if end, ok := s.ctx.Deadline(); ok && time.Until(end) < s.o.Duration {
		<-s.ctx.Done()
	}
	return s.ctx.Err() != nil
}

// run measures once. A failure takes the lab with it.
func (s *surveyor) run(c *cell) (sample result.Sample, err error) {
	r := c.run
	r.Transfer.Duration = s.o.Duration
	r.Transfer.Stall = max(3*time.Second, 20*s.o.Duration) // of many flows over a full link one may wait long
	r.Transfer.Limit = s.o.Duration + 30*time.Second
	if r.Link == "" {
		stop, err := profile.CPU(s.profile(c))
		if err != nil {
			return sample, err
		}
		defer stop()
		return links.Memory(s.ctx, &r)
	}
	if err := s.openLab(); err != nil {
		return sample, err
	}
	if sample, err = s.runInLab(c, &r); err != nil {
		s.closeLab()
	}
	return sample, err
}

func (s *surveyor) runInLab(c *cell, r *links.Run) (sample result.Sample, err error) {
	file := s.profile(c)
	if file == "" {
		return s.lab.Run(r)
	}
	if err := s.lab.StartProfile(file); err != nil {
		return sample, err
	}
	if sample, err = s.lab.Run(r); err != nil {
		return sample, err
	}
	return sample, s.lab.StopProfile()
}

var notInNames = regexp.MustCompile("[^a-zA-Z0-9]+")

// profile is the file that a case's CPU profile is written to, or empty.
func (s *surveyor) profile(c *cell) string {
	if s.o.CPUProfile == "" {
		return ""
	}
	return filepath.Join(s.o.CPUProfile, notInNames.ReplaceAllString(name(&c.Case), "-")+".pprof")
}

func (s *surveyor) say(round int, c *cell, what string) {
	fmt.Fprintf(s.progress, "round %d/%d: %s: %s\n", round+1, s.o.Rounds, name(&c.Case), what)
}

func outcome(c *cell, s *result.Sample) string {
	if c.Kind == result.Latency {
		return fmt.Sprintf("%v", s.RTT.P50)
	}
	return fmt.Sprintf("%.2f Gbit/s", s.Gbps)
}

func (s *surveyor) fail(round int, c *cell, err error) {
	s.say(round, c, fmt.Sprintf("failed: %v", err))
	key := fmt.Sprintf("%s: failed: %v", name(&c.Case), err)
	if s.failures[key]++; s.failures[key] == 1 {
		s.failed = append(s.failed, key)
	}
}

func (s *surveyor) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
	fmt.Fprintf(s.progress, format+"\n", args...)
}

func (s *surveyor) report() (*result.Report, error) {
	r := &result.Report{
		Machine: machine(), Started: s.started, Took: time.Since(s.started), Command: s.o.Command,
		Rounds: s.o.Rounds, Duration: s.o.Duration, Notes: slices.Clone(methods),
	}
	if s.control != "" {
		r.Notes = append(r.Notes, s.control+" at both ends")
	}
	r.Notes = append(r.Notes, s.notes...)
	for _, key := range s.failed {
		r.Notes = append(r.Notes, fmt.Sprintf("%s (%d of %d rounds)", key, s.failures[key], s.o.Rounds))
	}
	for _, series := range s.series {
		if len(series.Samples) > 0 {
			r.Series = append(r.Series, series)
		}
	}
	if len(r.Series) == 0 {
		return nil, errors.New("nothing could be measured: " + strings.Join(slices.Concat(s.notes, s.failed), "; "))
	}
	return r, nil
}

// methods say how it was measured.
var methods = []string{
	"runs are interleaved: every case once a round, those that may be compared one after the other",
	"every byte of a stream was checked at both ends, but in proxy, where iperf3 does not look",
	"CPU s/GB: CPU seconds (user and system) per GB (10^9 bytes) of the process that netstack runs in, which in memory and proxy is both stacks; the kernel's sockets are another process's, but what the kernel does with a packet within the system call that sends it is the sender's",
	"machine: CPU seconds of the whole machine per GB, from /proc/stat, in steps of 10 ms, other users of the machine included",
	"wire packets per delivery: payload in packets of the MTU, over the packets that netstack was given",
	"Gbit/s: of what arrived within the time of a run, whatever was still on its way then",
	"netstack's sockets have buffers of 4 MiB, each of 64 has 1 MiB; packet sockets have 16 MiB, which the kernel doubles, or a ring of 32",
	"resent: TCP segments that the sender sent again",
	"vnet header, host GSO, all offloads: super-packets of up to 64 KiB pass the link whole",
	"gVisor's own at its best: its GRO merges Ethernet frames only where checksums are trusted, and over a TUN next to nothing arrives unless they are; fdbased has no GSO on a TUN (fifo batches); large buffers are fdbased.BufConfig {2048, 65536}",
}
