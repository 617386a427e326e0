package report

import "fmt"

// The sections and the metric that goals refer to.
const (
	Create   = "a. Create one by one"
	Bulk     = "b. Create in bulk"
	Execute  = "c. Execute no-ops"
	Lateness = "d. Lateness"
	Rest     = "e. At rest"
	Read     = "f. Lists and look-ups"
	Growth   = "g. Growth"
	Workers  = "h. Workers"
	Rate     = "rate"
)

// goal is one line of what must be seen, of a case named as the run has named it: a ratio
// of at least want to a rival, or a median of timewheel's of at most want. Those with a
// label tell the story, and are in the plot.
type goal struct {
	what, section, name, metric, rival string
	want                               float64
	unit, label                        string
}

var goals = []goal{
	{"create one by one, 64 clients, against River", Create, "64 clients", Rate, "River", 6, "×", "create one by one, 64 clients"},
	{"create one by one, 64 clients, against asynq", Create, "64 clients", Rate, "asynq", 0.7, "×", ""},
	{"create in bulk, 1,000 a call, against River's COPY", Bulk, "1,000 a call, 4 clients", Rate, "River", 2, "×", "create in bulk, 1,000 a call"},
	{"execute in due order, against River", Execute, "100,000 in due order", Rate, "River", 5, "×", "execute 100,000, due order"},
	{"execute in due order, against asynq", Execute, "100,000 in due order", Rate, "asynq", 8, "×", ""},
	{"execute in random order, against River", Execute, "100,000 in random order", Rate, "River", 3, "×", "execute 100,000, random order"},
	{"lateness at 500/s, p50", Lateness, "500/s", "p50", "", 2, "ms", ""},
	{"lateness at 500/s, p99", Lateness, "500/s", "p99", "", 5, "ms", "lateness at 500/s, p99"},
	{"lateness at 500/s, early", Lateness, "500/s", "early", "", 0, "%", ""},
	{"lateness at 2,000/s, p50", Lateness, "2,000/s", "p50", "", 2, "ms", ""},
	{"lateness at 2,000/s, p99", Lateness, "2,000/s", "p99", "", 10, "ms", "lateness at 2,000/s, p99"},
	{"lateness at 2,000/s, early", Lateness, "2,000/s", "early", "", 0, "%", ""},
	{"burst of 10,000, the last start", Lateness, "burst of 10,000", "max", "", 150, "ms", "burst of 10,000, last start"},
	{"at rest, all together", Rest, "100,000 tasks within the hour", "CPU", "", 1, "% of a core", "CPU at rest"},
	{"at rest, Redis bytes a task within the horizon", Rest, "100,000 tasks within the hour", "Redis", "", 150, "bytes", ""},
	{"at rest, Redis bytes a task beyond the horizon", Rest, "100,000 tasks beyond the horizon", "Redis", "", 0, "bytes", ""},
	{"1,000,000 rows, page, no filter, p50", Read, "1,000,000 rows: page, no filter", "p50", "", 2, "ms", ""},
	{"1,000,000 rows, page by status, p50", Read, "1,000,000 rows: page by status", "p50", "", 2, "ms", ""},
	{"1,000,000 rows, page by type, p50", Read, "1,000,000 rows: page by type", "p50", "", 2, "ms", ""},
	{"1,000,000 rows, page by status and type, p50", Read, "1,000,000 rows: page by status and type", "p50", "", 2, "ms", "list by status and type, 1,000,000 rows"},
	{"1,000,000 rows, one by id, p50", Read, "1,000,000 rows: one by id", "p50", "", 2, "ms", ""},
}

// maxMemory is what API and worker may each have resident, in MB.
const maxMemory = 100

// verdict is a goal and what was seen of it.
type verdict struct {
	What, Want, Seen string
	Met              bool
}

// verdicts holds what was measured against the goals. What was not measured is left out.
func (r *Results) verdicts() []verdict {
	var verdicts []verdict
	for _, g := range goals {
		ours := r.Find(g.section, g.name, r.Systems[0], g.metric)
		want := fmt.Sprintf("%s %s", Number(g.want), g.unit)
		if ratio, known := Ratio(ours, r.Find(g.section, g.name, g.rival, g.metric)); known {
			verdicts = append(verdicts, verdict{g.what, ">= " + want, Number(ratio) + " " + g.unit, ratio >= g.want})
		} else if g.rival == "" && ours != nil {
			verdicts = append(verdicts, verdict{g.what, "<= " + want, Number(ours.Median) + " " + g.unit, ours.Median <= g.want})
		}
	}
	most := map[string]float64{}
	for _, p := range r.Peaks {
		most[p.Role] = max(most[p.Role], p.Bytes/1e6)
	}
	for _, role := range []string{"timewheel-api", "timewheel-worker"} {
		if mb, known := most[role]; known {
			verdicts = append(verdicts, verdict{
				"memory of " + role + " throughout", fmt.Sprintf("<= %d MB", maxMemory), fmt.Sprintf("%.0f MB", mb), mb <= maxMemory,
			})
		}
	}
	return verdicts
}
