// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
	"github.com/netstack-offload/netstack-offload/tests/lifecycle/leak"
)

// weather is what a link does to packets, each with a probability.
type weather struct {
	rng                               *rand.Rand
	lose, repeat, disorder, flip, cut float64
	fair                              bool     // does nothing
	late                              [][]byte // for the next batch
}

func (w *weather) change(batch [][]byte) (out [][]byte) {
	now := w.late
	w.late = nil
	for _, ip := range batch {
		happens := func(p float64) bool { return w.rng.Float64() < p }
		switch {
		case happens(w.lose):
			continue
		case happens(w.flip):
			ip = flip(ip, w.rng.IntN(len(ip)*8))
		case happens(w.cut):
			ip = ip[:w.rng.IntN(len(ip))]
		case happens(w.repeat):
			out = append(out, ip)
		case happens(w.disorder):
			if w.late = append(w.late, ip); len(batch) > 1 {
				continue
			}
			w.late = w.late[:len(w.late)-1] // nothing might ever come after it
		}
		out = append(out, ip)
	}
	return append(out, now...)
}

// Data is right in every byte, whatever the link does.
func TestBadWeather(t *testing.T) {
	skies := map[string]weather{
		"fair":     {fair: true},
		"loss":     {lose: 0.003},
		"disorder": {disorder: 0.02, repeat: 0.02},
		"damage":   {flip: 0.003, cut: 0.002},
		"storm":    {lose: 0.001, disorder: 0.005, repeat: 0.01, flip: 0.002, cut: 0.001},
	}
	for sky, w := range skies {
		for name, newPort := range ports {
			for _, v6 := range []bool{false, true} {
				t.Run(sky+"/"+testName(name, v6), func(t *testing.T) {
					// gVisor's TCP now and then stands still for minutes after a
					// loss, over bare links too. Wrong data is never excused.
					var err error
					for try := range uint64(8) {
						if err = w.passes(t, newPort, v6, try); err == nil {
							return
						}
						var wrong *transfer.WrongByteError
						if errors.As(err, &wrong) || sky == "fair" {
							break
						}
					}
					t.Error(err)
				})
			}
		}
	}
}

// passes makes two hosts with that weather between them, and transfers both ways.
func (w weather) passes(t *testing.T, newPort func() port, v6 bool, seed uint64) (err error) {
	t.Run("try", func(t *testing.T) {
		leak.Check(t)
		a, b := newPort(), newPort()
		there, back := w, w
		there.rng, back.rng = rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 4))
		defer join(a, b, there.change, back.change)()
		addrs := []string{"10.0.0.1", "10.0.0.2"}
		if v6 {
			addrs = []string{"fd00::1", "fd00::2"}
		}
		from, to := newHost(t, a.link(), addrs[0]), newHost(t, b.link(), addrs[1])
		for i, h := range []*transfer.Host{from, to} {
			// RACK makes those standstills the rule.
			recovery := tcpip.TCPRecovery(0)
			if err := h.Stack().SetTransportProtocolOption(tcp.ProtocolNumber, &recovery); err != nil {
				t.Fatalf("host %d: %v", i, err)
			}
		}
		for _, way := range [][2]*transfer.Host{{from, to}, {to, from}} {
			var r transfer.Result
			r, err = transfer.Between(t.Context(), way[0], way[1], &transfer.Config{Flows: 2, Bytes: 1 << 20, Limit: 8 * time.Second})
			if err != nil {
				return
			}
			if r.Bytes != 2<<20 {
				t.Errorf("%d bytes arrived", r.Bytes)
			}
		}
		if w.fair && (a.offload().Stats().Merged == 0 || b.offload().Stats().Merged == 0) {
			t.Error("nothing was merged")
		}
	})
	return err
}
