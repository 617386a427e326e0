package report

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

var (
	//go:embed *.tmpl
	files     embed.FS
	templates = template.Must(template.New("").Funcs(template.FuncMap{
		"cell": cell, "ratio": ratioCell, "number": Number, "join": strings.Join,
		"megabytes": func(bytes float64) string { return fmt.Sprintf("%.0f", bytes/1e6) },
		"second":    func() time.Duration { return time.Second },
	}).ParseFS(files, "*.tmpl"))
	english = message.NewPrinter(language.English)
)

// Write puts latest.md, latest.json and latest.svg into dir, which it makes if it is
// missing.
func (r *Results) Write(dir string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	text, textErr := execute("report.md.tmpl", struct {
		*Results
		Verdicts []verdict
		Sections []section
	}{r, r.verdicts(), r.sections()})
	plot, plotErr := r.plot()
	if err := errors.Join(err, textErr, plotErr); err != nil {
		return fmt.Errorf("write the results down: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: for everyone to read.
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	for name, content := range map[string][]byte{
		"latest.md": text, "latest.json": append(encoded, '\n'), "latest.svg": plot,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // G306: as above.
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

// execute fills in one of our templates.
func execute(name string, data any) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, name, data)
	return out.Bytes(), err
}

// section is one table of the report.
type section struct {
	Title string
	Lines []line
}

// line is one row of a table: a case, a metric, and each system's series, which may be nil.
type line struct {
	Case   string
	Metric Metric
	Series []*Series
}

// sections are the tables, in the order in which their lines were measured.
func (r *Results) sections() []section {
	var sections []section
	for _, s := range r.Series {
		at := slices.IndexFunc(sections, func(other section) bool { return other.Title == s.Section })
		if at < 0 {
			at = len(sections)
			sections = append(sections, section{Title: s.Section})
		}
		lines := &sections[at].Lines
		row := slices.IndexFunc(*lines, func(l line) bool { return l.Case == s.Case && l.Metric.Name == s.Metric.Name })
		if row < 0 {
			row = len(*lines)
			*lines = append(*lines, line{s.Case, s.Metric, make([]*Series, len(r.Systems))})
		}
		(*lines)[row].Series[slices.Index(r.Systems, s.System)] = s
	}
	return sections
}

func cell(s *Series) string {
	switch {
	case s == nil:
		return "–"
	case len(s.Values) == 1:
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

// Number writes a value with as many digits as say something, and thousands apart.
func Number(v float64) string {
	switch size := math.Abs(v); {
	case v == math.Trunc(v) || size >= 100:
		return english.Sprintf("%.0f", v)
	case size < 1:
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.1f", v)
}
