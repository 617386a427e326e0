package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The plot's measures, in pixels.
const (
	plotWidth   = 860
	labelWidth  = 330
	barHeight   = 14
	barGap      = 3
	groupGap    = 12
	topMargin   = 44
	rightMargin = 70
)

// colours are those of the rivals, readable on light and on dark.
var colours = []string{"#d97706", "#2563eb", "#059669"}

// plotted are the cases that tell the story; the tables have all of them.
var plotted = []struct{ section, name, metric, label string }{
	{Create, "64 clients", Rate, "create one by one, 64 clients"},
	{Bulk, "1,000 a call, 4 clients", Rate, "create in bulk, 1,000 a call"},
	{Execute, "100,000 in due order", Rate, "execute 100,000, due order"},
	{Execute, "100,000 in random order", Rate, "execute 100,000, random order"},
	{Lateness, "500/s", "p99", "lateness at 500/s, p99"},
	{Lateness, "2,000/s", "p99", "lateness at 2,000/s, p99"},
	{Lateness, "burst of 10,000", "max", "burst of 10,000, last start"},
	{Rest, "100,000 tasks within the hour", "CPU", "CPU at rest"},
	{Read, "1,000,000 rows: page by status and type", "p50", "list by status and type, 1,000,000 rows"},
}

// Plot draws how many times better timewheel is than each rival, on a
// logarithmic scale, as SVG.
func (b *Results) Plot() string {
	type bar struct {
		label, rival string
		ratio        float64
		colour       string
	}
	var groups [][]bar
	low, high := 0.5, 2.0
	for _, p := range plotted {
		var group []bar
		for i, rival := range b.Systems[1:] {
			ratio, ok := Ratio(b.Find(p.section, p.name, b.Systems[0], p.metric), b.Find(p.section, p.name, rival, p.metric))
			if ok {
				group = append(group, bar{p.label, rival, ratio, colours[i%len(colours)]})
				low, high = min(low, ratio), max(high, ratio)
			}
		}
		if group != nil {
			groups = append(groups, group)
		}
	}
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	scale := (plotWidth - labelWidth - rightMargin) / (high - low)
	x := func(ratio float64) float64 { return labelWidth + (math.Log10(ratio)-low)*scale }

	var body strings.Builder
	y := topMargin
	for _, group := range groups {
		fmt.Fprintf(&body, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-10, y+len(group)*(barHeight+barGap)/2+3,
			html.EscapeString(group[0].label))
		for _, bar := range group {
			from, to := min(x(1), x(bar.ratio)), max(x(1), x(bar.ratio))
			fmt.Fprintf(&body, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", from, y, max(1, to-from), barHeight, bar.colour)
			fmt.Fprintf(&body, `<text x="%.1f" y="%d">%s×</text>`+"\n", to+5, y+barHeight-3, Number(bar.ratio))
			y += barHeight + barGap
		}
		y += groupGap
	}
	return b.frame(body.String(), y, low, high, x)
}

// frame puts the scale, the legend and the text's style around the bars.
func (b *Results) frame(bars string, height int, low, high float64, x func(float64) float64) string {
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#6b7280">`+"\n",
		plotWidth, height+8)
	fmt.Fprintf(&svg, `<text x="10" y="18" font-weight="bold">How many times better timewheel is than</text>`+"\n")
	at := 250
	for i, rival := range slices.All(b.Systems[1:]) {
		fmt.Fprintf(&svg, `<rect x="%d" y="8" width="12" height="12" rx="2" fill="%s"/><text x="%d" y="18">%s</text>`+"\n",
			at, colours[i%len(colours)], at+17, html.EscapeString(rival))
		at += 80
	}
	for power := low; power <= high; power++ {
		ratio := math.Pow(10, power)
		width := "0.3"
		if power == 0 {
			width = "1.2"
		}
		fmt.Fprintf(&svg, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#9ca3af" stroke-width="%s"/>`+"\n",
			x(ratio), topMargin-8, x(ratio), height-4, width)
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d" text-anchor="middle" font-size="10">%s×</text>`+"\n", x(ratio), topMargin-12, Number(ratio))
	}
	svg.WriteString(bars)
	svg.WriteString("</svg>\n")
	return svg.String()
}
