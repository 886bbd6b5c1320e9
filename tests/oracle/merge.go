// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

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
	ours := j.ours(frames)
	theirs, err := j.kernel(frames)
	if err != nil {
		return "", err
	}
	j.count.bursts++
	j.count.frames += len(frames)
	mine, yours := byFlow(ours), byFlow(theirs)
	for _, flow := range mine.order {
		if same(mine.flows[flow], yours.flows[flow]) == "" {
			continue
		}
		if flow == "" {
			return "packets that show no flow: " + same(mine.flows[""], yours.flows[""]), nil
		}
		d, err := j.flow(frames, flow, mine.flows[flow])
		if err != nil || d != "" {
			return d, err
		}
	}
	for flow := range yours.flows {
		if mine.flows[flow] == nil {
			return "the kernel let a flow leave that we did not", nil
		}
	}
	before := j.count.merged
	for _, l := range ours {
		if l.segmentSize > 0 {
			j.count.merged++
		}
	}
	if j.count.merged > before {
		j.count.merging++
		j.count.joined += len(frames) - (len(ours) - (j.count.merged - before))
	}
	return "", nil
}

// kernel asks it.
func (j *judge) kernel(frames [][]byte) ([]left, error) {
	j.count.asked++
	return j.ask(frames)
}

// flow asks the kernel again about one flow, with the deliberate differences
// taken into account, and compares. What differs still is returned.
func (j *judge) flow(frames [][]byte, key string, ours []left) (difference string, err error) {
	f := readFlow(frames, key)
	f.split = j.split
	difference, err = j.compare(&f, ours)
	if difference != "" || err != nil {
		return difference, err
	}
	known := false
	for _, r := range f.reasons() {
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
	switch all := f.reasons(); {
	case known:
	case len(all) == 0:
		j.count.reasons[buckets]++
	default: // several that each would do
		j.count.reasons[all[0]]++
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
	return same(ours, theirs), nil
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
	return f
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
