// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// left is a packet that left a merger.
type left struct {
	data        []byte // with all checksums
	segmentSize int    // 0 for a packet as it came
}

// judge compares what this library makes of bursts with what the kernel makes of
// them, flow by flow.
type judge struct {
	ours func(frames [][]byte) []left
	ask  func(frames [][]byte) ([]left, error)
	// takes tells the frames that can be judged.
	takes func(data []byte) bool
	// split says that both split again what they have merged.
	split bool

	count counts
}

// counts add up what a judge has seen.
type counts struct {
	bursts, merging int // all, and those of which something merged
	frames, joined  int // all, and those that became part of a merged packet
	merged          int // packets made of several
	asked           int // questions put to the kernel
	reasons         [numReasons]int
}

// burst compares what becomes of the frames, at most 64, flow by flow. It returns
// the first difference that is no deliberate one, or "".
func (j *judge) burst(frames [][]byte) (difference string, err error) {
	frames = slices.DeleteFunc(frames, func(data []byte) bool { return !j.takes(data) })
	ours := j.ours(frames)
	theirs, err := j.kernel(frames)
	if err != nil {
		return "", err
	}
	mine, yours := byFlow(ours), byFlow(theirs)
	for _, key := range mine.order {
		difference = j.same(mine.flows[key], yours.flows[key])
		if key != noFlow && key != noIP {
			difference, err = j.flow(j.readFlow(frames, key), mine.flows[key], difference)
		}
		if difference != "" || err != nil {
			return difference, err
		}
	}
	for key := range yours.flows {
		if mine.flows[key] == nil {
			return "the kernel let a flow leave that we did not", nil
		}
	}
	j.count.add(len(frames), ours)
	return "", nil
}

func (c *counts) add(frames int, ours []left) {
	merged := 0
	for _, l := range ours {
		if l.segmentSize > 0 {
			merged++
		}
	}
	c.bursts++
	c.frames += frames
	if merged > 0 {
		c.merging++
		c.merged += merged
		c.joined += frames - (len(ours) - merged)
	}
}

// kernel asks it.
func (j *judge) kernel(frames [][]byte) ([]left, error) {
	j.count.asked++
	return j.ask(frames)
}

// flow says in what one flow differs, given in what it does when all of the burst
// is asked about. Where a deliberate difference has to do with the flow, or there is
// a difference, the kernel is asked about the flow alone, taken apart.
func (j *judge) flow(f flow, ours []left, whole string) (difference string, err error) {
	reasons := f.reasons()
	if whole == "" && len(reasons) == 0 {
		return "", nil
	}
	difference, err = j.compare(&f, ours)
	if difference != "" || err != nil || whole == "" {
		return difference, err
	}
	// Which of them was it?
	known := false
	for _, r := range reasons {
		f.without = r
		d, err := j.compare(&f, ours)
		if err != nil {
			return "", err
		}
		if d != "" {
			j.count.reasons[r]++
			known = true
		}
	}
	switch {
	case known:
	case len(reasons) == 0:
		j.count.reasons[buckets]++
	default: // each of several would do
		j.count.reasons[reasons[0]]++
	}
	return "", nil
}

// compare asks the kernel about the parts of a flow and says in what its answer
// is not ours.
func (j *judge) compare(f *flow, ours []left) (difference string, err error) {
	var theirs []left
	for _, part := range f.parts() {
		var asked [][]byte
		for i := range part {
			asked = append(asked, f.plain(&part[i]))
		}
		answer, err := j.kernel(asked)
		if err != nil {
			return "", err
		}
		at := 0
		for _, l := range answer {
			if at >= len(part) {
				return "the kernel's answer has more packets than the question", nil
			}
			l = f.restore(l, &part[at], asked[at])
			theirs = append(theirs, l)
			at += l.packets()
		}
	}
	return j.same(ours, theirs), nil
}

// packets is the number of packets that l was made of.
func (l left) packets() int {
	if l.segmentSize == 0 {
		return 1
	}
	p := readPacket(l.data)
	return (p.size - p.hdrLen() + l.segmentSize - 1) / l.segmentSize
}

// flows are packets by flow, in the order of first packets.
type flows struct {
	order []string
	flows map[string][]left
}

func byFlow(packets []left) flows {
	f := flows{flows: map[string][]left{}}
	for _, l := range packets {
		p := readPacket(l.data)
		if f.flows[p.flow] == nil {
			f.order = append(f.order, p.flow)
		}
		f.flows[p.flow] = append(f.flows[p.flow], l)
	}
	slices.SortFunc(f.flows[noIP], func(a, b left) int { return bytes.Compare(a.data, b.data) })
	return f
}

// same compares what left for one flow.
func (j *judge) same(ours, theirs []left) string {
	if j.split {
		ours, theirs = unpadded(ours), unpadded(theirs)
	}
	return same(ours, theirs)
}

// same returns "" if both are the same packets, or says in what they differ.
func same(ours, theirs []left) string {
	for i := range ours {
		if i >= len(theirs) {
			break
		}
		if a, b := ours[i], theirs[i]; a.segmentSize != b.segmentSize {
			return fmt.Sprintf("packet %d of the flow: our segment size is %d (%d bytes), the kernel's %d (%d bytes)",
				i, a.segmentSize, len(a.data), b.segmentSize, len(b.data))
		}
		if d := packettest.Diff(newFrame(ours[i].data), newFrame(theirs[i].data)); d != "" {
			return fmt.Sprintf("packet %d of the flow, kernel's wanted: %s", i, d)
		}
	}
	if len(ours) != len(theirs) {
		return fmt.Sprintf("%d packets of the flow left us, %d the kernel", len(ours), len(theirs))
	}
	return ""
}
