package report

import (
	_ "embed"
	"math"
)

//go:embed plot.svg.tmpl
var plot string

// The plot's measures, in pixels. The template has the others.
const (
	topMargin    = 44
	left, right  = 330, 790 // of the scale
	barDistance  = 17
	groupGap     = 12
	legendX      = 250
	legendWidth  = 80
	bottomMargin = 8
)

// colours are those of the rivals, readable on light and on dark.
var colours = []string{"#d97706", "#2563eb"}

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

// figure is what the template of the plot draws.
type figure struct {
	Height, GridHeight         int
	Legend, Grid, Labels, Bars []mark
}

// mark is one thing in the plot.
type mark struct {
	X, Width, Ratio float64
	Y               int
	Label, Colour   string
}

// plot draws how many times better timewheel is than each rival, on a
// logarithmic scale, as SVG.
func (r *Results) plot() ([]byte, error) {
	var f figure
	for i, rival := range r.Systems[1:] {
		f.Legend = append(f.Legend, mark{X: float64(legendX + i*legendWidth), Label: rival, Colour: colours[i]})
	}
	y := topMargin
	for _, p := range plotted {
		top := y
		for i, rival := range r.Systems[1:] {
			ours := r.Find(p.section, p.name, r.Systems[0], p.metric)
			if ratio, ok := Ratio(ours, r.Find(p.section, p.name, rival, p.metric)); ok {
				f.Bars = append(f.Bars, mark{Y: y, Ratio: ratio, Colour: colours[i]})
				y += barDistance
			}
		}
		if y > top {
			f.Labels = append(f.Labels, mark{Y: (top+y)/2 + 3, Label: p.label})
			y += groupGap
		}
	}
	f.Height, f.GridHeight = y+bottomMargin, y-topMargin+4
	f.scale()
	return execute(plot, f)
}

// scale places the bars between the powers of ten that enclose them all.
func (f *figure) scale() {
	low, high := 0.5, 2.0
	for _, bar := range f.Bars {
		low, high = min(low, bar.Ratio), max(high, bar.Ratio)
	}
	low, high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	x := func(ratio float64) float64 { return left + (math.Log10(ratio)-low)/(high-low)*(right-left) }
	for power := low; power <= high; power++ {
		ratio := math.Pow(10, power)
		f.Grid = append(f.Grid, mark{X: x(ratio), Ratio: ratio})
	}
	for i, bar := range f.Bars {
		from, to := min(x(1), x(bar.Ratio)), max(x(1), x(bar.Ratio))
		f.Bars[i].X, f.Bars[i].Width = from, max(1, to-from)
	}
}
