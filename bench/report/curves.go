// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// curveChart is a quantity against a number that grows by factors.
type curveChart struct {
	title, x, y string
	curves      []curve
}

// curve is one way to do the work.
type curve struct {
	label  string
	side   string
	points []point
}

type point struct {
	x float64
	result.Spread
}

// strokes tell curves of one side apart, together with shapes.
var (
	strokes = [][]vg.Length{nil, {5, 2.5}, {1.5, 2}, {7, 2, 1.5, 2}}
	shapes  = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}}
)

const curveHeight, legendRow = vg.Length(250), vg.Length(13)

// svg draws the chart.
func (c *curveChart) svg() []byte {
	head := margin + titleSize + 8 + legendRow*vg.Length((len(c.curves)+1)/2)
	s := newSheet(c.title, head+curveHeight)
	p := newPlot("", c.y)
	p.X.Scale = plot.LogScale{}
	p.Y.Padding = 12 // for the ranges of the first point
	p.X.Tick.Marker, p.X.Min, p.X.Max = c.ticks()
	p.Y.Min, p.Y.Max = 0, c.top()
	used := map[string]int{}
	for i := range c.curves {
		one := &c.curves[i]
		l := newLine(one, used[one.side])
		used[one.side]++
		l.beside = 3 * (vg.Length(i) - vg.Length(len(c.curves)-1)/2)
		p.Add(l)
		l.explain(s, vg.Point{
			X: margin + width/2*vg.Length(i%2),
			Y: s.Max.Y - margin - titleSize - 9 - legendRow*vg.Length(i/2),
		})
	}
	// An axis label of the plot's own is padded as if the scale were linear.
	label := regular(textSize, ink)
	label.XAlign = draw.XCenter
	s.FillText(label, vg.Point{X: width / 2, Y: margin}, c.x+" (thin lines: least and most of the runs)")
	p.Draw(draw.Crop(s.Canvas, margin, -2*margin, margin+textSize, -head))
	return s.bytes()
}

// ticks are at the values that were measured, and at the ends of the axis.
func (c *curveChart) ticks() (ticks plot.ConstantTicks, least, most float64) {
	var values []float64
	for _, one := range c.curves {
		for _, p := range one.points {
			values = append(values, p.x)
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	for _, v := range values {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
	}
	least, most = values[0], values[len(values)-1]
	if least == most {
		most *= 2
	}
	return ticks, least, most
}

// top is where the y axis ends: above all medians, not above every outlier.
func (c *curveChart) top() (y float64) {
	for _, one := range c.curves {
		for _, p := range one.points {
			y = max(y, p.Median*1.15)
		}
	}
	return y
}

// line draws a curve.
type line struct {
	*curve
	stroke  draw.LineStyle
	whisker draw.LineStyle
	glyph   draw.GlyphStyle
	beside  vg.Length // where the ranges are, so that they do not cover each other
}

func newLine(c *curve, n int) *line {
	ink := looks[c.side].line
	if n%2 == 1 {
		ink = looks[c.side].tint
	}
	return &line{
		curve:   c,
		stroke:  draw.LineStyle{Color: ink, Width: 1.5, Dashes: strokes[n%len(strokes)]},
		whisker: draw.LineStyle{Color: ink, Width: 0.6},
		glyph:   draw.GlyphStyle{Color: ink, Radius: 3, Shape: shapes[n%len(shapes)]},
	}
}

// Plot draws medians joined by a line, each with its range as far as there is room.
func (l *line) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var at []vg.Point
	for _, v := range l.points {
		at = append(at, vg.Point{X: x(v.x), Y: y(v.Median)})
		c.StrokeLine2(l.whisker, x(v.x)+l.beside, y(v.Min), x(v.x)+l.beside, y(min(v.Max, p.Y.Max)))
	}
	c.StrokeLines(l.stroke, at)
	for _, a := range at {
		c.DrawGlyphNoClip(l.glyph, a)
	}
}

// explain draws the legend's entry.
func (l *line) explain(s *sheet, at vg.Point) {
	s.StrokeLine2(l.stroke, at.X, at.Y, at.X+28, at.Y)
	s.DrawGlyphNoClip(l.glyph, at.Add(vg.Point{X: 14}))
	s.FillText(regular(textSize, ink), at.Add(vg.Point{X: 33}), l.label)
}
