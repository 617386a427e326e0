// Package report keeps what was measured, and writes it down: medians, spreads
// and ratios as Markdown, JSON and a plot.
package report

import (
	"slices"
	"strings"
	"time"
)

// Direction says which of two values of a metric is the better one.
type Direction string

// The directions.
const (
	Higher Direction = "higher is better"
	Lower  Direction = "lower is better"
)

// Metric is one thing that is measured.
type Metric struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Better Direction `json:"better"`
}

// Series is what the rounds of one measurement gave for one system.
type Series struct {
	Section string    `json:"section"`
	Case    string    `json:"case"`
	Metric  Metric    `json:"metric"`
	System  string    `json:"system"`
	Values  []float64 `json:"values"`
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
}

// Than reports whether value a is better than b.
func (d Direction) Than(a, b float64) bool {
	if d == Lower {
		return a < b
	}
	return a > b
}

// Trial is one setting, its Case, that was tried in a sweep.
type Trial struct {
	Series
	Purpose string `json:"purpose"`
	Chosen  bool   `json:"chosen"`
}

// Machine is what the figures were taken on.
type Machine struct {
	CPUs     int     `json:"cpus"`
	CPU      string  `json:"cpu"`
	Go       string  `json:"go"`
	Postgres string  `json:"postgres"`
	Redis    string  `json:"redis"`
	Load     float64 `json:"load_average_before"`
}

// Peak is the most memory that a process of a role has had in a section.
type Peak struct {
	Section string  `json:"section"`
	Role    string  `json:"role"`
	Bytes   float64 `json:"bytes"`
}

// Results is all that a run has found out. It is for one goroutine.
type Results struct {
	Began    time.Time     `json:"began"`
	Took     time.Duration `json:"took_ns"`
	Command  string        `json:"command"`
	Rounds   int           `json:"rounds"`
	Machine  Machine       `json:"machine"`
	Versions []string      `json:"versions"`
	Systems  []string      `json:"systems"`
	Series   []*Series     `json:"series"`
	Trials   []Trial       `json:"trials"`
	Peaks    []Peak        `json:"peaks"`
	// Notes are what was left out, and Failures what went wrong.
	Notes    []string `json:"notes"`
	Failures []string `json:"failures"`
}

// Record adds one round's value.
func (b *Results) Record(section, name, system string, metric Metric, value float64) {
	s := b.Find(section, name, system, metric.Name)
	if s == nil {
		s = &Series{Section: section, Case: name, System: system, Metric: metric}
		b.Series = append(b.Series, s)
	}
	s.Values = append(s.Values, value)
	sorted := slices.Sorted(slices.Values(s.Values))
	s.Min, s.Max, s.Median = sorted[0], sorted[len(sorted)-1], median(sorted)
}

// Find returns the series of a measurement, or nil.
func (b *Results) Find(section, name, system, metric string) *Series {
	for _, s := range b.Series {
		if s.Section == section && s.Case == name && s.System == system && s.Metric.Name == metric {
			return s
		}
	}
	return nil
}

// RecordPeak keeps the largest value of a role in a section.
func (b *Results) RecordPeak(section, role string, bytes float64) {
	for i, p := range b.Peaks {
		if p.Section == section && p.Role == role {
			b.Peaks[i].Bytes = max(p.Bytes, bytes)
			return
		}
	}
	b.Peaks = append(b.Peaks, Peak{section, role, bytes})
}

// Choose marks the trial of a setting as the one that the rest is done with.
func (b *Results) Choose(purpose, system, setting string) {
	for i, t := range b.Trials {
		if t.Purpose == purpose && t.System == system && t.Case == setting {
			b.Trials[i].Chosen = true
		}
	}
}

// Note keeps a remark, once.
func (b *Results) Note(text string) {
	if !slices.Contains(b.Notes, text) {
		b.Notes = append(b.Notes, text)
	}
}

// Ratio is how many times better the first system is than the other: above 1
// it is ahead. It is false where a ratio says nothing, as for values of 0 or
// of different signs.
func Ratio(ours, theirs *Series) (float64, bool) {
	if ours == nil || theirs == nil || ours.Median <= 0 || theirs.Median <= 0 {
		return 0, false
	}
	if ours.Metric.Better == Lower {
		return theirs.Median / ours.Median, true
	}
	return ours.Median / theirs.Median, true
}

func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Quantile is the value below which the share q of the sorted samples lies.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// line is one row of a section's table: a case, a metric, and each system's
// series, which may be nil.
type line struct {
	name   string
	metric Metric
	series []*Series
}

// lines are the rows of a section, in the order in which they were measured.
func (b *Results) lines(section string) []line {
	var lines []line
	for _, s := range b.Series {
		if s.Section != section {
			continue
		}
		at := slices.IndexFunc(lines, func(l line) bool { return l.name == s.Case && l.metric.Name == s.Metric.Name })
		if at < 0 {
			at = len(lines)
			lines = append(lines, line{s.Case, s.Metric, make([]*Series, len(b.Systems))})
		}
		lines[at].series[slices.Index(b.Systems, s.System)] = s
	}
	// Cases stay together, whichever system measured which metric first.
	var order []string
	for _, l := range lines {
		if !slices.Contains(order, l.name) {
			order = append(order, l.name)
		}
	}
	slices.SortStableFunc(lines, func(x, y line) int {
		return slices.Index(order, x.name) - slices.Index(order, y.name)
	})
	return lines
}

// sections are the titles in the order in which they were measured.
func (b *Results) sections() []string {
	var titles []string
	for _, s := range b.Series {
		if !slices.Contains(titles, s.Section) {
			titles = append(titles, s.Section)
		}
	}
	slices.SortFunc(titles, strings.Compare)
	return titles
}
