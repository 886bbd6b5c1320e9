// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package links

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/netstack-offload/netstack-offload/bench/transfer"
)

// startIperfServer starts iperf3 -s on the loopback, waits until it listens, and
// returns its port. stop ends it.
func startIperfServer(ctx context.Context) (port uint16, stop func(), err error) {
	k := &transfer.Kernel{Address: loopback}
	ln, err := k.Listen(ctx, 0) // for a port that is free
	if err != nil {
		return 0, nil, err
	}
	port = netip.MustParseAddrPort(ln.Addr().String()).Port()
	ln.Close()
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "iperf3", "-s", "-B", loopback.String(), "-p", strconv.Itoa(int(port)), "--forceflush")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return 0, nil, fmt.Errorf("starting iperf3: %w", err)
	}
	lines := bufio.NewReader(out)
	for line := ""; err == nil && !strings.Contains(line, "listening"); {
		line, err = lines.ReadString('\n')
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, lines)
	}()
	stop = func() {
		cancel()
		<-drained
		cmd.Wait()
	}
	if err != nil {
		stop()
		return 0, nil, fmt.Errorf("iperf3 does not listen: %w", err)
	}
	return port, stop, nil
}

// runIperfClient runs iperf3 -c, which counts whole seconds.
func runIperfClient(ctx context.Context, r *Run, port uint16) (transfer.Result, error) {
	seconds := max(1, int(math.Round(r.Transfer.Duration.Seconds())))
	cmd := exec.CommandContext(ctx, "iperf3", "-c", loopback.String(), "-p", strconv.Itoa(int(port)),
		"-t", strconv.Itoa(seconds), "-P", strconv.Itoa(max(1, r.Transfer.Flows)), "-J")
	out, err := cmd.Output()
	var said iperfReport
	if jsonErr := json.Unmarshal(out, &said); jsonErr != nil && err == nil {
		err = jsonErr
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case said.Error != "":
		err = fmt.Errorf("%s", said.Error)
	case err == nil && said.End.Received.Bytes == 0:
		err = fmt.Errorf("no data arrived")
	}
	if err != nil {
		return transfer.Result{}, fmt.Errorf("iperf3: %w", err)
	}
	sum := said.End.Received
	return transfer.Result{Bytes: sum.Bytes, InTime: sum.Bytes, Elapsed: time.Duration(sum.Seconds * float64(time.Second))}, nil
}

// iperfReport is what matters of iperf3's JSON.
type iperfReport struct {
	Error string
	End   struct {
		Received struct {
			Bytes   int64
			Seconds float64
		} `json:"sum_received"`
	}
}
