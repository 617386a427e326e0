package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Markdown is the whole report for a person.
func (b *Results) Markdown() string {
	var text strings.Builder
	line := func(format string, arguments ...any) { fmt.Fprintf(&text, format+"\n", arguments...) }
	line("# timewheel, asynq and River side by side\n")
	line("`%s`, %s, rounds: %d, %s. %d CPUs (%s), %s, PostgreSQL %s, Redis %s; %s.", b.Command,
		b.Began.UTC().Format("2006-01-02 15:04 UTC"), b.Rounds, b.Took.Round(time.Second), b.Machine.CPUs, b.Machine.CPU,
		b.Machine.Go, b.Machine.Postgres, b.Machine.Redis, strings.Join(b.Versions, ", "))
	line("The load average before the run was %.1f: everything above 0 disturbs the figures.\n", b.Machine.Load)
	line("Each cell is the median of the rounds and their spread. A ratio above 1 says that")
	line("timewheel is that many times better, below 1 that it is worse; – where there is")
	line("nothing to compare. README.md says how each figure is taken.\n")
	if len(b.Failures) > 0 {
		line("## What went wrong\n")
		for _, failure := range b.Failures {
			line("- %s", failure)
		}
		line("")
	}
	b.writeGoals(line)
	for _, section := range b.sections() {
		line("## %s\n", section)
		b.writeTable(section, line)
	}
	b.writePeaks(line)
	b.writeTrials(line)
	if len(b.Notes) > 0 {
		line("## Notes\n")
		for _, note := range b.Notes {
			line("- %s", note)
		}
	}
	return text.String()
}

func (b *Results) writeTable(section string, line func(string, ...any)) {
	head := append([]string{"work", "metric"}, b.Systems...)
	rule := "|---|---" + strings.Repeat("|--:", 2*len(b.Systems)-1) + "|"
	for _, rival := range b.Systems[1:] {
		head = append(head, "vs "+rival)
	}
	line("| %s |\n%s", strings.Join(head, " | "), rule)
	for _, l := range b.lines(section) {
		row := []string{l.name, l.metric.Name + ", " + l.metric.Unit}
		for _, s := range l.series {
			row = append(row, cell(s))
		}
		for _, rival := range l.series[1:] {
			row = append(row, ratioCell(l.series[0], rival))
		}
		line("| %s |", strings.Join(row, " | "))
	}
	line("")
}

func (b *Results) writePeaks(line func(string, ...any)) {
	if len(b.Peaks) == 0 {
		return
	}
	line("## Memory: the most that a process had resident\n")
	line("| section | process | MB |\n|---|---|--:|")
	for _, p := range b.Peaks {
		line("| %s | %s | %.0f |", p.Section, p.Role, p.Bytes/1e6)
	}
	line("")
}

func (b *Results) writeTrials(line func(string, ...any)) {
	if len(b.Trials) == 0 {
		return
	}
	line("## The sweep: settings that were tried\n")
	line("| system | for | setting | result | |\n|---|---|---|--:|---|")
	for _, t := range b.Trials {
		chosen := ""
		if t.Chosen {
			chosen = "chosen"
		}
		line("| %s | %s | %s | %s %s | %s |", t.System, t.Purpose, t.Case, cell(&t.Series), t.Metric.Unit, chosen)
	}
	line("")
}

func cell(s *Series) string {
	if s == nil {
		return "–"
	}
	if len(s.Values) == 1 {
		return "**" + Number(s.Median) + "**"
	}
	return fmt.Sprintf("**%s** (%s..%s)", Number(s.Median), Number(s.Min), Number(s.Max))
}

func ratioCell(ours, theirs *Series) string {
	ratio, ok := Ratio(ours, theirs)
	if !ok {
		return "–"
	}
	return Number(ratio) + "×"
}

// Number writes a value with as many digits as say something, and thousands
// apart.
func Number(v float64) string {
	switch size := math.Abs(v); {
	case v == math.Trunc(v) && size < 1000, size >= 100 && size < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size < 1:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case size < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}
