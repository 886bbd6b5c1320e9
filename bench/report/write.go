// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// section is a heading with pictures and tables.
type section struct {
	Title, Text string
	Pictures    []picture
	Tables      []table
}

// sections are the report after its head.
func (d *data) sections() []section {
	pictures := d.pictures()
	take := func(prefix string) (out []picture) {
		for _, p := range pictures {
			if strings.HasPrefix(p.file, prefix) {
				out = append(out, p)
			}
		}
		return out
	}
	all := []section{
		{"In short", "", take("main"), []table{d.askTable()}},
		{"Throughput and CPU", "", take("stream-"), d.streamTables()},
		{"Latency", "One byte there and back on an otherwise idle connection.", take("latency-"), d.latencyTables()},
		{"Cost of a packet", "", append(take("flows"), take("sizes")...), nil},
		{"Beside the peers", "", take("peers-"), nil},
		{"Go benchmarks", "", nil, d.benchmarkTables()},
	}
	var out []section
	for _, s := range all {
		if len(s.Pictures)+len(s.Tables) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// write writes the report into a directory.
func (d *data) write(dir string) error {
	if err := d.check(); err != nil {
		return err
	}
	sections := d.sections()
	page, err := d.html(sections)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(d, "", "\t")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	files := map[string][]byte{
		"report.json": append(text, '\n'),
		"report.md":   d.markdown(sections),
		"report.html": page,
	}
	for _, s := range sections {
		for _, p := range s.Pictures {
			files[p.file] = p.svg
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("report: -o: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			return fmt.Errorf("report: -o: %w", err)
		}
	}
	return nil
}

// facts are what a reader has to know about the run.
func (d *data) facts() (out [][2]string) {
	m := &d.Machine
	add := func(name, value string) {
		if value != "" {
			out = append(out, [2]string{name, value})
		}
	}
	add("Machine", fmt.Sprintf("%s, %d cores, %.0f GiB, %s", or(m.CPU, "unknown CPU"), m.Cores, float64(m.Memory)/(1<<30), m.OS))
	add("Versions", fmt.Sprintf("%s, gVisor %s", m.Go, m.GVisor))
	add("Commit", m.Commit)
	if !d.Started.IsZero() {
		add("Date", fmt.Sprintf("%s, took %v", d.Started.UTC().Format("2006-01-02 15:04 MST"), d.Took.Round(time.Second)))
	}
	add("Command", d.Command)
	add("Runs", fmt.Sprintf("%v each, rounds: %d, in which the modes take turns; median [least–most]", d.Duration, d.Rounds))
	for _, c := range d.Commands {
		add("Benchmarks", c)
	}
	return out
}

// markdown is report.md.
func (d *data) markdown(sections []section) []byte {
	var b strings.Builder
	b.WriteString("# netstack-offload, measured\n\n")
	for _, f := range d.facts() {
		value := f[1]
		if f[0] == "Command" || f[0] == "Benchmarks" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "- %s: %s\n", f[0], value)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	b.WriteString("\n")
	for _, s := range sections {
		fmt.Fprintf(&b, "## %s\n\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(&b, "%s\n\n", s.Text)
		}
		for _, p := range s.Pictures {
			fmt.Fprintf(&b, "![%s](%s)\n\n", p.title, p.file)
		}
		for i := range s.Tables {
			s.Tables[i].markdown(&b)
		}
	}
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

//go:embed report.tmpl
var pageText string

var page = template.Must(template.New("report.html").Parse(pageText))

// html is report.html: one file, pictures inside.
func (d *data) html(sections []section) ([]byte, error) {
	content := struct {
		Facts    [][2]string
		Notes    []string
		Sections []section
	}{d.facts(), d.Notes, sections}
	var b bytes.Buffer
	if err := page.Execute(&b, &content); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}
