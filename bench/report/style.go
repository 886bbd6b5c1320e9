// Copyright 2026 The netstack-offload Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"math"
	"regexp"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"gonum.org/v1/plot"
	plotfont "gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/netstack-offload/netstack-offload/bench/result"
)

// Sizes in points, of which 3 are 4 pixels.
const (
	width     = vg.Length(675)
	margin    = vg.Length(9)
	titleSize = vg.Length(11)
	textSize  = vg.Length(8.5)
)

var (
	ink  = color.Gray{0x22}
	dim  = color.Gray{0x66}
	rule = color.Gray{0xdd}
)

// look is how a side of a comparison is drawn: apart in print and without colours
// too, dark, medium and hollow. Every other curve has the tint.
type look struct {
	name             string
	fill, line, tint color.Color
}

var (
	blue, sky      = color.RGBA{0x1b, 0x4f, 0x8a, 0xff}, color.RGBA{0x4e, 0x95, 0xd9, 0xff}
	orange, copper = color.RGBA{0xf2, 0xa5, 0x4a, 0xff}, color.RGBA{0xc9, 0x76, 0x12, 0xff}
	grey           = color.Gray{0x77}

	looks = map[string]look{
		result.Ours:   {"netstack-offload", blue, blue, sky},
		result.Peer:   {"peer", orange, copper, orange},
		result.Kernel: {"kernel at both ends: the ceiling", color.White, grey, grey},
	}
)

// sideOrder is that of legends.
var sideOrder = []string{result.Ours, result.Peer, result.Kernel}

func regular(size vg.Length, c color.Color) text.Style { return style(font.WeightNormal, size, c) }
func bold(size vg.Length, c color.Color) text.Style    { return style(font.WeightBold, size, c) }

func style(weight font.Weight, size vg.Length, c color.Color) text.Style {
	return text.Style{
		Color:   c,
		Font:    plotfont.Font{Typeface: family, Weight: weight, Size: size},
		YAlign:  text.YCenter,
		Handler: text.Plain{Fonts: fonts},
	}
}

const family = "Liberation Sans"

var fonts = plotfont.NewCache(plotfont.Collection{
	{Font: plotfont.Font{Typeface: family}, Face: parse(liberationsansregular.TTF)},
	{Font: plotfont.Font{Typeface: family, Weight: font.WeightBold}, Face: parse(liberationsansbold.TTF)},
})

func parse(ttf []byte) *opentype.Font {
	f, err := opentype.Parse(ttf)
	if err != nil {
		panic(err) // part of the program
	}
	return f
}

// sheet is a picture in the making, of the usual width.
type sheet struct {
	draw.Canvas
	svg *vgsvg.Canvas
}

func newSheet(title string, height vg.Length) *sheet {
	svg := vgsvg.New(width, height)
	s := &sheet{draw.New(svg), svg}
	s.box(vg.Rectangle{Max: vg.Point{X: width, Y: height}}, look{fill: color.White})
	s.FillText(bold(titleSize, ink), vg.Point{X: margin, Y: height - margin - titleSize/2}, title)
	return s
}

// box fills a rectangle and, where there is a colour for it, draws its border.
func (s *sheet) box(r vg.Rectangle, l look) { box(s.Canvas, r, l) }

func box(c draw.Canvas, r vg.Rectangle, l look) {
	corners := []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}, r.Min}
	c.FillPolygon(l.fill, corners)
	if l.line != nil {
		c.StrokeLines(draw.LineStyle{Color: l.line, Width: 0.75}, corners)
	}
}

// bytes is the picture. A reader without its font takes another, which each text
// tells how wide to be: nothing runs into what is beside it.
func (s *sheet) bytes() []byte {
	var b bytes.Buffer
	if _, err := s.svg.WriteTo(&b); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return texts.ReplaceAllFunc(b.Bytes(), func(element []byte) []byte {
		m := texts.FindSubmatch(element)
		size, err := strconv.ParseFloat(string(m[3]), 64)
		if err != nil {
			panic(err) // vgsvg writes numbers
		}
		face := regular(vg.Length(size), ink)
		if string(m[2]) == "bold" {
			face = bold(vg.Length(size), ink)
		}
		w := face.Width(html.UnescapeString(string(m[4])))
		return fmt.Appendf(nil, `%s textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s<`,
			bytes.Replace(m[1], []byte(family), []byte("'"+family+"',Arial,Helvetica,sans-serif"), 1), w, m[4])
	})
}

// texts are text elements as vgsvg writes them: up to the end of the tag, and in
// that weight and size, and the text.
var texts = regexp.MustCompile(`(<text [^>]*font-weight:(\w+);[^>]*font-size:([0-9.]+)px[^>]*)>([^<]*)<`)

// newPlot has axes in the style of all pictures, and a grid.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.TextHandler = text.Plain{Fonts: fonts}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle.Color, a.LineStyle.Width = dim, 0.5
		a.Tick.LineStyle = a.LineStyle
		a.Tick.Length = 3
		label, tick := a.Label.TextStyle, a.Tick.Label
		a.Label.TextStyle, a.Tick.Label = regular(textSize, ink), regular(textSize, ink)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = label.XAlign, label.YAlign
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = tick.XAlign, tick.YAlign
		a.Padding = 0
		a.Tick.Marker = ticks{}
	}
	p.X.Label.Text, p.Y.Label.Text = x, y
	grid := plotter.NewGrid()
	grid.Vertical = draw.LineStyle{Color: rule, Width: 0.5}
	grid.Horizontal = grid.Vertical
	p.Add(grid)
	return p
}

// ticks are about six, at round values.
type ticks struct{}

func (ticks) Ticks(least, most float64) (out []plot.Tick) {
	rough := (most - least) / 6
	step := math.Pow(10, math.Floor(math.Log10(rough)))
	switch {
	case rough > 5*step:
		step *= 10
	case rough > 2*step:
		step *= 5
	case rough > step:
		step *= 2
	}
	for i := math.Ceil(least / step); i*step <= most; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: figure(i * step)})
	}
	return out
}

// figure has three digits, or all that are before the point.
func figure(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
