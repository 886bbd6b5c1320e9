// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/netstack-offload/netstack-offload/tests/oracle/kernel"
	"github.com/netstack-offload/netstack-offload/tests/packettest"
)

// court holds the judges and the kernel that they ask.
type court struct {
	merges, ids *judge
	gso         *kernel.GSO

	splits, segments int
	unexplained      int
	until            time.Time // zero: no limit

	closers []func() error
}

// newCourt sets up the kernel's side. The caller closes it.
func newCourt() (*court, error) {
	c := &court{}
	gro, err := kernel.OpenGRO()
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, gro.Close)
	bridge, err := kernel.OpenResplit()
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.closers = append(c.closers, bridge.Close)
	if c.gso, err = kernel.OpenGSO(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.closers = append(c.closers, c.gso.Close)
	c.merges, c.ids = newMergeJudge(gro), newIDJudge(bridge)
	return c, nil
}

func (c *court) close() (err error) {
	for _, closer := range c.closers {
		err = errors.Join(err, closer())
	}
	return err
}

// random judges what o asks for, all kinds taking turns. It returns the first
// difference that is no deliberate one, with the smallest burst that shows it.
func (c *court) random(r *rand.Rand, o options) (difference string, err error) {
	for i := 0; (i < o.bursts || i < o.splits || i < o.resplits) && !c.over(); i++ {
		if i < o.bursts {
			difference, err = c.burst(c.merges, packettest.RandomMix(r))
		}
		if i < o.resplits && difference == "" && err == nil {
			difference, err = c.burst(c.ids, packettest.RandomMix(r))
		}
		if i < o.splits && difference == "" && err == nil {
			difference, err = c.split(randomSuperPacket(r))
		}
		if difference != "" {
			c.unexplained++
		}
		if difference != "" || err != nil {
			return difference, err
		}
	}
	return "", nil
}

func (c *court) over() bool { return !c.until.IsZero() && time.Now().After(c.until) }

// burst lets a judge see a burst, and shrinks it if there is something wrong.
func (c *court) burst(j *judge, mix []byte) (difference string, err error) {
	difference, err = j.burst(mixFrames(mix))
	if difference == "" || err != nil {
		return "", err
	}
	before := j.count
	mix, difference, err = shrink(mix, func(mix []byte) (string, error) { return j.burst(mixFrames(mix)) })
	j.count = before
	return tableRow(mix, difference) + difference, err
}

// wrong says what either judge finds wrong with a burst.
func (c *court) wrong(mix []byte) (difference string, err error) {
	difference, err = c.merges.burst(mixFrames(mix))
	if difference == "" && err == nil {
		difference, err = c.ids.burst(mixFrames(mix))
	}
	return difference, err
}

func (c *court) split(s superPacket) (difference string, err error) {
	difference, err = split(c.gso, s)
	c.splits++
	c.segments += s.parts
	return difference, err
}

// mixFrames are the frames of a mix.
func mixFrames(mix []byte) (frames [][]byte) {
	for _, a := range packettest.ParseMix(mix).Arrivals {
		frames = append(frames, a.Data)
	}
	return frames
}
