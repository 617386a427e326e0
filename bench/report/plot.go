package report

import "math"

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

// plot draws how many times better timewheel is than each rival, on a logarithmic scale, as
// SVG.
func (r *Results) plot() ([]byte, error) {
	var f figure
	for i, rival := range r.Systems[1:] {
		f.Legend = append(f.Legend, mark{X: float64(legendX + i*legendWidth), Label: rival, Colour: colours[i]})
	}
	y := topMargin
	for _, g := range goals {
		if g.label == "" {
			continue
		}
		top := y
		for i, rival := range r.Systems[1:] {
			ours := r.Find(g.section, g.name, r.Systems[0], g.metric)
			if ratio, ok := Ratio(ours, r.Find(g.section, g.name, rival, g.metric)); ok {
				f.Bars = append(f.Bars, mark{Y: y, Ratio: ratio, Colour: colours[i]})
				y += barDistance
			}
		}
		if y > top {
			f.Labels = append(f.Labels, mark{Y: (top+y)/2 + 3, Label: g.label})
			y += groupGap
		}
	}
	f.Height, f.GridHeight = y+bottomMargin, y-topMargin+4
	f.scale()
	return execute("plot.svg.tmpl", f)
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
