package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/bench/report"
)

var (
	rate = report.Metric{Name: report.Rate, Unit: "tasks/s", Better: report.Higher}
	p99  = report.Metric{Name: "p99", Unit: "ms", Better: report.Lower}
)

func newBook() *report.Results {
	b := &report.Results{Began: time.Unix(0, 0), Command: "bench", Rounds: 3, Systems: []string{"timewheel", "asynq", "River"}}
	for _, round := range []float64{1, 3, 2} {
		b.Record(report.Execute, "100,000 in due order", "timewheel", rate, 100_000*round)
		b.Record(report.Execute, "100,000 in due order", "River", rate, 10_000*round)
		b.Record(report.Lateness, "500/s", "timewheel", p99, 3)
		b.Record(report.Lateness, "500/s", "asynq", p99, -300)
		b.Record(report.Lateness, "500/s", "River", p99, 3000)
	}
	b.RecordPeak(report.Execute, "timewheel-worker", 90e6)
	b.RecordPeak(report.Execute, "timewheel-worker", 120e6)
	b.RecordPeak(report.Execute, "timewheel-worker", 80e6)
	return b
}

func TestMediansSpreadsAndRatios(t *testing.T) {
	t.Parallel()
	b := newBook()
	ours := b.Find(report.Execute, "100,000 in due order", "timewheel", report.Rate)
	require.InDelta(t, 200_000, ours.Median, 0)
	require.InDelta(t, 100_000, ours.Min, 0)
	require.InDelta(t, 300_000, ours.Max, 0)

	ratio, ok := report.Ratio(ours, b.Find(report.Execute, "100,000 in due order", "River", report.Rate))
	require.True(t, ok)
	require.InDelta(t, 10, ratio, 1e-9)

	late := b.Find(report.Lateness, "500/s", "timewheel", "p99")
	ratio, ok = report.Ratio(late, b.Find(report.Lateness, "500/s", "River", "p99"))
	require.True(t, ok)
	require.InDelta(t, 1000, ratio, 1e-9, "less is better, so three seconds against three milliseconds is ahead")
	_, ok = report.Ratio(late, b.Find(report.Lateness, "500/s", "asynq", "p99"))
	require.False(t, ok, "to be early is not to be better")
	_, ok = report.Ratio(late, nil)
	require.False(t, ok)
}

func TestMarkdownHasTablesAndVerdicts(t *testing.T) {
	t.Parallel()
	b := newBook()
	b.Note("a remark")
	b.Note("a remark")
	b.Failures = append(b.Failures, "something failed")
	dir := t.TempDir()
	require.NoError(t, b.Write(dir))
	written, err := os.ReadFile(filepath.Join(dir, "latest.md"))
	require.NoError(t, err)
	text := string(written)
	require.Contains(t, text, "| 100,000 in due order | rate, tasks/s | **200,000** (100,000..300,000) | – | **20,000** (10,000..30,000) | – | 10× |")
	require.Contains(t, text, "| execute in due order, against River | >= 5 × | 10 × | met |")
	require.Contains(t, text, "| memory of timewheel-worker throughout | <= 100 MB | 120 MB | **missed** |")
	require.Contains(t, text, "- something failed")
	require.Equal(t, 1, strings.Count(text, "a remark"))
}

func TestNumbersAreReadable(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{
		0: "0", 0.0234: "0.023", 3: "3", 3.14159: "3.1", 42.42: "42.4", 123.4: "123", -394.2: "-394",
		999.7: "1,000", 1000: "1,000", 12345.6: "12,346", -1234567: "-1,234,567",
	} {
		require.Equal(t, want, report.Number(value))
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	sorted := make([]time.Duration, 100)
	for i := range sorted {
		sorted[i] = time.Duration(i)
	}
	require.Equal(t, time.Duration(50), report.Quantile(sorted, 0.5))
	require.Equal(t, time.Duration(99), report.Quantile(sorted, 0.99))
	require.Equal(t, time.Duration(99), report.Quantile(sorted, 1))
	require.Zero(t, report.Quantile(nil, 0.5))
}

func TestWritesAllThreeForms(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, newBook().Write(dir))

	encoded, err := os.ReadFile(filepath.Join(dir, "latest.json"))
	require.NoError(t, err)
	var back report.Results
	require.NoError(t, json.Unmarshal(encoded, &back))
	require.Equal(t, newBook().Series, back.Series)

	plot, err := os.Open(filepath.Join(dir, "latest.svg"))
	require.NoError(t, err)
	defer plot.Close()
	decoder := xml.NewDecoder(plot)
	bars := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			bars++
		}
	}
	require.Equal(t, 2+2, bars, "two bars, and the legend's two")
}
