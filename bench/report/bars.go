// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// barChart has a row for each bar and a panel for each quantity.
type barChart struct {
	title  string
	axes   []string // of the panels, with units
	same   bool     // all panels have the scale of the longest bar
	groups []barGroup
}

type barGroup struct {
	title string
	bars  []bar
}

// bar is one mode. Its spreads are by panel, nil where unknown.
type bar struct {
	label   string
	side    string
	spreads []*result.Spread
}

// row is a title, a bar, or the space between groups.
type row struct {
	title string
	bar   *bar
}

func (b *barChart) rows() (out []row) {
	for i, g := range b.groups {
		if i > 0 {
			out = append(out, row{})
		}
		if g.title != "" {
			out = append(out, row{title: g.title})
		}
		for j := range g.bars {
			out = append(out, row{bar: &g.bars[j]})
		}
	}
	return out
}

const (
	rowHeight = vg.Length(13)
	headSpace = vg.Length(46) // of title and legend
	axisSpace = vg.Length(32)
	panelGap  = vg.Length(14)
)

// svg draws the chart.
func (b *barChart) svg() []byte {
	rows := b.rows()
	s := newSheet(b.title, headSpace+axisSpace+rowHeight*vg.Length(len(rows)))
	s.legend(rows)
	left := labelWidth(rows) + 2*margin
	step := (width - left - margin + panelGap) / vg.Length(len(b.axes))
	for i, axis := range b.axes {
		p := newPlot(axis, "")
		p.HideY()
		p.Y.Min, p.Y.Max = -float64(len(rows)), 0
		p.X.Min, p.X.Max = 0, b.span(rows, i, step-panelGap)
		p.Add(bars{rows, i})
		start := left + step*vg.Length(i)
		area := draw.Crop(s.Canvas, start, start+step-panelGap-width, margin/2, -headSpace)
		p.Draw(area)
		if i == 0 {
			s.labels(rows, p, area)
		}
	}
	return s.bytes()
}

// legend explains the sides that occur.
func (s *sheet) legend(rows []row) {
	seen := map[string]bool{}
	for _, r := range rows {
		if r.bar != nil {
			seen[r.bar.side] = true
		}
	}
	at := vg.Point{X: margin, Y: s.Max.Y - margin - titleSize - 11}
	for _, side := range sideOrder {
		if !seen[side] {
			continue
		}
		l := looks[side]
		s.box(vg.Rectangle{Min: at.Add(vg.Point{Y: -4}), Max: at.Add(vg.Point{X: 14, Y: 4})}, l)
		at.X += 18
		s.FillText(regular(textSize, ink), at, l.name)
		at.X += regular(textSize, ink).Width(l.name) + 16
	}
	s.FillText(regular(textSize, dim), at, "bar: median; line: least and most of the runs")
}

func labelWidth(rows []row) (w vg.Length) {
	for _, r := range rows {
		w = max(w, bold(textSize, ink).Width(r.title))
		if r.bar != nil {
			w = max(w, r.style().Width(r.bar.label))
		}
	}
	return w
}

// style sets our labels apart.
func (r *row) style() draw.TextStyle {
	if r.bar.side == result.Ours {
		return bold(textSize, ink)
	}
	return regular(textSize, ink)
}

// span is the end of a panel's axis, of so many points, that has room for the figure
// behind the longest bar.
func (b *barChart) span(rows []row, panel int, length vg.Length) float64 {
	const figures = 30
	most := 0.0
	for _, r := range rows {
		if r.bar == nil {
			continue
		}
		for i, s := range r.bar.spreads {
			if s != nil && (b.same || i == panel) {
				most = max(most, s.Max)
			}
		}
	}
	if most == 0 {
		return 1
	}
	return most * float64(length/(length-figures))
}

// labels writes what is left of the bars.
func (s *sheet) labels(rows []row, p *plot.Plot, area draw.Canvas) {
	data := p.DataCanvas(area)
	_, y := p.Transforms(&data)
	for i, r := range rows {
		at := vg.Point{X: margin, Y: y(-float64(i) - 0.5)}
		switch {
		case r.bar != nil:
			label := r.style()
			label.XAlign = draw.XRight
			s.FillText(label, vg.Point{X: data.Min.X - 5, Y: at.Y}, r.bar.label)
		case r.title != "":
			s.FillText(bold(textSize, ink), at, r.title)
		}
	}
}

// bars draws one panel.
type bars struct {
	rows  []row
	panel int
}

// Plot draws each bar with its range and its median.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, r := range b.rows {
		if r.bar == nil {
			continue
		}
		middle := y(-float64(i) - 0.5)
		s := r.bar.spreads[b.panel]
		if s == nil {
			c.FillText(regular(textSize, dim), vg.Point{X: x(0) + 4, Y: middle}, unknown)
			continue
		}
		const half, tick = rowHeight * 0.36, rowHeight * 0.18
		box(c, vg.Rectangle{
			Min: vg.Point{X: x(0), Y: middle - half},
			Max: vg.Point{X: x(s.Median), Y: middle + half},
		}, looks[r.bar.side])
		if s.Min < s.Max {
			whisker(c, x(s.Min), x(s.Max), middle, tick)
		}
		c.FillText(regular(textSize, ink), vg.Point{X: x(max(s.Max, s.Median)) + 4, Y: middle}, figure(s.Median))
	}
}

// whisker draws a range so that it is seen on dark bars too.
func whisker(c draw.Canvas, from, to, middle, tick vg.Length) {
	for _, l := range []draw.LineStyle{{Color: rule, Width: 2.2}, {Color: ink, Width: 0.9}} {
		c.StrokeLine2(l, from, middle, to, middle)
		c.StrokeLine2(l, from, middle-tick, from, middle+tick)
		c.StrokeLine2(l, to, middle-tick, to, middle+tick)
	}
}
