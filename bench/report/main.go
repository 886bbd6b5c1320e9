// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

// Command report measures this library beside its peers and the kernel, and writes
// what it finds as tables and pictures: report.md, report.html, which needs no other
// file, and the data as report.json. It runs bench/measure and Go benchmarks.
//
//	cd bench/report
//	go run . -o DIR                      # measure and write
//	go run . -from report.json -o DIR    # write again without measuring
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

type settings struct {
	out, from string
	quick     bool
	// measure are the arguments for bench/measure.
	measure []string
}

// passed are the flags that bench/measure gets as they are.
var passed = map[string]string{
	"rounds":   "`number` of rounds, in each of which every mode runs once",
	"duration": "`time` of one run",
	"run":      "only the cases that match this `regexp`",
	"limit":    "`time` for the whole comparison",
}

func main() {
	var s settings
	flag.StringVar(&s.out, "o", "", "write into this `directory`")
	flag.StringVar(&s.from, "from", "", "write again what this report.json `file` has, without measuring")
	flag.BoolVar(&s.quick, "quick", false, "short and few measurements, to see whether all works")
	for name, usage := range passed {
		flag.String(name, "", usage+", for bench/measure")
	}
	flag.Parse()
	flag.Visit(func(f *flag.Flag) {
		if passed[f.Name] != "" {
			s.measure = append(s.measure, "-"+f.Name, f.Value.String())
		}
	})
	if s.quick {
		s.measure = append(s.measure, "-quick")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings) error {
	if s.out == "" {
		return errors.New("report: -o DIR is missing: where to write the report")
	}
	if s.from != "" {
		d, err := readData(s.from)
		if err != nil {
			return err
		}
		return d.write(s.out)
	}
	d, err := measure(ctx, s)
	if d == nil {
		return err
	}
	return errors.Join(err, d.write(s.out))
}

// measure runs the comparison, then the benchmarks. What the comparison found is in
// the directory before the benchmarks begin. If one of these fails there are data all the
// same, and an error.
func measure(ctx context.Context, s *settings) (*data, error) {
	root, err := repository(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.out, 0o777); err != nil {
		return nil, fmt.Errorf("report: -o: %w", err)
	}
	file, err := filepath.Abs(filepath.Join(s.out, "report.json"))
	if err != nil {
		return nil, fmt.Errorf("report: -o: %w", err)
	}
	args := append([]string{"run", "./bench/measure", "-json", file}, s.measure...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("report: go %s: %w", strings.Join(args, " "), err)
	}
	d, err := readData(file)
	if err != nil {
		return nil, err
	}
	d.Command = strings.TrimSpace("cd bench/report && go run . -o DIR " + shell(s.measure))
	return d, d.runBenchmarks(ctx, root, s.quick)
}

// repository is where the main module stands.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", strings.TrimSuffix(module, "/")).Output()
	if err != nil {
		return "", fmt.Errorf("report: looking for the main module: %w: run this in bench/report", err)
	}
	return strings.TrimSpace(string(out)), nil
}
