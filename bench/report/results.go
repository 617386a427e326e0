// Package report keeps what was measured, and writes it down: medians, spreads and ratios
// as Markdown, JSON and a plot.
package report

import (
	"fmt"
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

// Ratio is how many times better ours is than theirs: above 1 it is ahead. It is false
// where a ratio says nothing, as for values of 0 or of different signs.
func Ratio(ours, theirs *Series) (float64, bool) {
	switch {
	case ours == nil || theirs == nil || ours.Median <= 0 || theirs.Median <= 0:
		return 0, false
	case ours.Metric.Better == Lower:
		return theirs.Median / ours.Median, true
	}
	return ours.Median / theirs.Median, true
}

// Trial is one setting, its Case, that was tried in a sweep.
type Trial struct {
	*Series
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
	Trials   []*Trial      `json:"trials"`
	Peaks    []Peak        `json:"peaks"`
	// Notes are what was left out, and Failures what went wrong.
	Notes    []string `json:"notes"`
	Failures []string `json:"failures"`
}

// Record adds one round's value.
func (r *Results) Record(section, name, system string, metric Metric, value float64) {
	s := r.Find(section, name, system, metric.Name)
	if s == nil {
		s = &Series{Section: section, Case: name, System: system, Metric: metric}
		r.Series = append(r.Series, s)
	}
	s.Values = append(s.Values, value)
	sorted := slices.Sorted(slices.Values(s.Values))
	low, high := (len(sorted)-1)/2, len(sorted)/2 // the same one if their number is odd
	s.Min, s.Max, s.Median = sorted[0], sorted[len(sorted)-1], (sorted[low]+sorted[high])/2
}

// Find returns the series of a measurement, or nil.
func (r *Results) Find(section, name, system, metric string) *Series {
	for _, s := range r.Series {
		if s.Section == section && s.Case == name && s.System == system && s.Metric.Name == metric {
			return s
		}
	}
	return nil
}

// Latest words what the last round of a measurement gave for one system.
func (r *Results) Latest(section, name, system string) string {
	var all []string
	for _, s := range r.Series {
		if s.Section == section && s.Case == name && s.System == system {
			value, digits := s.Values[len(s.Values)-1], 0
			if value < 100 {
				digits = 2
			}
			all = append(all, fmt.Sprintf("%s %.*f %s", s.Metric.Name, digits, value, s.Metric.Unit))
		}
	}
	return strings.Join(all, ", ")
}

// RecordPeak keeps the largest value of a role in a section.
func (r *Results) RecordPeak(section, role string, bytes float64) {
	for i, p := range r.Peaks {
		if p.Section == section && p.Role == role {
			r.Peaks[i].Bytes = max(p.Bytes, bytes)
			return
		}
	}
	r.Peaks = append(r.Peaks, Peak{section, role, bytes})
}

// Note keeps a remark, once.
func (r *Results) Note(text string) {
	if !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// Quantile is the value below which the share q of the sorted samples lies.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
