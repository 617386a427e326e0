package report

import "fmt"

// goal is one line of what must be seen. Against a rival the value is a ratio,
// else it is timewheel's own median.
type goal struct {
	what    string
	section string
	name    string // the case
	metric  string
	rival   string
	want    float64
	atMost  bool
	unit    string
}

// The sections, cases and metrics that goals refer to.
const (
	Create   = "a. Create one by one"
	Bulk     = "b. Create in bulk"
	Execute  = "c. Execute no-ops"
	Lateness = "d. Lateness"
	Rest     = "e. At rest"
	Read     = "f. Lists and look-ups"
	Growth   = "g. Growth"
	Workers  = "h. Workers"

	Rate = "rate"
)

// goals lists what is to be reached, for cases named as the run has named them.
func goals() []goal {
	ratio := func(what, section, name, rival string, want float64) goal {
		return goal{what, section, name, Rate, rival, want, false, "×"}
	}
	most := func(what, section, name, metric string, want float64, unit string) goal {
		return goal{what, section, name, metric, "", want, true, unit}
	}
	list := []goal{
		ratio("execute in due order, against River", Execute, "100,000 in due order", "River", 5),
		ratio("execute in due order, against asynq", Execute, "100,000 in due order", "asynq", 8),
		ratio("execute in random order, against River", Execute, "100,000 in random order", "River", 3),
		ratio("create one by one, 64 clients, against River", Create, "64 clients", "River", 6),
		ratio("create one by one, 64 clients, against asynq", Create, "64 clients", "asynq", 0.7),
		ratio("create in bulk, 1,000 a call, against River's COPY", Bulk, "1,000 a call, 4 clients", "River", 2),
		most("burst of 10,000, the last start", Lateness, "burst of 10,000", "max", 150, "ms"),
		most("at rest, all together", Rest, "100,000 tasks within the hour", "CPU", 1, "% of a core"),
		most("at rest, Redis bytes a task within the horizon", Rest, "100,000 tasks within the hour", "Redis", 150, "bytes"),
		most("at rest, Redis bytes a task beyond the horizon", Rest, "100,000 tasks beyond the horizon", "Redis", 0, "bytes"),
	}
	for _, at := range []struct {
		name string
		p99  float64
	}{{"500/s", 5}, {"2,000/s", 10}} {
		list = append(list,
			most("lateness at "+at.name+", p50", Lateness, at.name, "p50", 2, "ms"),
			most("lateness at "+at.name+", p99", Lateness, at.name, "p99", at.p99, "ms"),
			most("lateness at "+at.name+", early", Lateness, at.name, "early", 0, "%"))
	}
	for _, ask := range []string{"page, no filter", "page by status", "page by type", "page by status and type", "one by id"} {
		list = append(list, most("1,000,000 rows, "+ask+", p50", Read, "1,000,000 rows: "+ask, "p50", 2, "ms"))
	}
	return list
}

// maxMemory is what API and worker may each have resident, in bytes.
const maxMemory = 100e6

// writeGoals holds what was measured against the goals. What was not measured
// is left out.
func (b *Results) writeGoals(line func(string, ...any)) {
	var rows []string
	add := func(what, want, seen string, met bool) {
		verdict := "**missed**"
		if met {
			verdict = "met"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |", what, want, seen, verdict))
	}
	for _, g := range goals() {
		value, known := b.seen(g)
		if !known {
			continue
		}
		sign := ">="
		met := value >= g.want
		if g.atMost {
			sign, met = "<=", value <= g.want
		}
		add(g.what, fmt.Sprintf("%s %s %s", sign, Number(g.want), g.unit), Number(value)+" "+g.unit, met)
	}
	for _, role := range []string{"timewheel-api", "timewheel-worker"} {
		most := 0.0
		for _, p := range b.Peaks {
			if p.Role == role {
				most = max(most, p.Bytes)
			}
		}
		if most > 0 {
			add("memory of "+role+" throughout", fmt.Sprintf("<= %.0f MB", maxMemory/1e6), fmt.Sprintf("%.0f MB", most/1e6), most <= maxMemory)
		}
	}
	if len(rows) == 0 {
		return
	}
	line("## Goals\n")
	line("| goal | want | seen | |\n|---|--:|--:|---|")
	for _, row := range rows {
		line("%s", row)
	}
	line("")
}

func (b *Results) seen(g goal) (float64, bool) {
	ours := b.Find(g.section, g.name, b.Systems[0], g.metric)
	if g.rival != "" {
		return Ratio(ours, b.Find(g.section, g.name, g.rival, g.metric))
	}
	if ours == nil {
		return 0, false
	}
	return ours.Median, true
}
