package report

import "fmt"

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

// goal is one line of what must be seen: a ratio of at least want to a rival,
// or a median of timewheel's of at most want.
type goal struct {
	what, section, name, metric string
	rival                       string
	want                        float64
	unit                        string
}

// goals are for cases named as the run has named them.
var goals = []goal{
	{"execute in due order, against River", Execute, "100,000 in due order", Rate, "River", 5, "×"},
	{"execute in due order, against asynq", Execute, "100,000 in due order", Rate, "asynq", 8, "×"},
	{"execute in random order, against River", Execute, "100,000 in random order", Rate, "River", 3, "×"},
	{"create one by one, 64 clients, against River", Create, "64 clients", Rate, "River", 6, "×"},
	{"create one by one, 64 clients, against asynq", Create, "64 clients", Rate, "asynq", 0.7, "×"},
	{"create in bulk, 1,000 a call, against River's COPY", Bulk, "1,000 a call, 4 clients", Rate, "River", 2, "×"},
	{"burst of 10,000, the last start", Lateness, "burst of 10,000", "max", "", 150, "ms"},
	{"at rest, all together", Rest, "100,000 tasks within the hour", "CPU", "", 1, "% of a core"},
	{"at rest, Redis bytes a task within the horizon", Rest, "100,000 tasks within the hour", "Redis", "", 150, "bytes"},
	{"at rest, Redis bytes a task beyond the horizon", Rest, "100,000 tasks beyond the horizon", "Redis", "", 0, "bytes"},
	{"lateness at 500/s, p50", Lateness, "500/s", "p50", "", 2, "ms"},
	{"lateness at 500/s, p99", Lateness, "500/s", "p99", "", 5, "ms"},
	{"lateness at 500/s, early", Lateness, "500/s", "early", "", 0, "%"},
	{"lateness at 2,000/s, p50", Lateness, "2,000/s", "p50", "", 2, "ms"},
	{"lateness at 2,000/s, p99", Lateness, "2,000/s", "p99", "", 10, "ms"},
	{"lateness at 2,000/s, early", Lateness, "2,000/s", "early", "", 0, "%"},
	{"1,000,000 rows, page, no filter, p50", Read, "1,000,000 rows: page, no filter", "p50", "", 2, "ms"},
	{"1,000,000 rows, page by status, p50", Read, "1,000,000 rows: page by status", "p50", "", 2, "ms"},
	{"1,000,000 rows, page by type, p50", Read, "1,000,000 rows: page by type", "p50", "", 2, "ms"},
	{"1,000,000 rows, page by status and type, p50", Read, "1,000,000 rows: page by status and type", "p50", "", 2, "ms"},
	{"1,000,000 rows, one by id, p50", Read, "1,000,000 rows: one by id", "p50", "", 2, "ms"},
}

// maxMemory is what API and worker may each have resident, in bytes.
const maxMemory = 100e6

// verdict is a goal and what was seen of it.
type verdict struct {
	What, Want, Seen string
	Met              bool
}

// verdicts holds what was measured against the goals. What was not measured is
// left out.
func (r *Results) verdicts() []verdict {
	var verdicts []verdict
	for _, g := range goals {
		ours := r.Find(g.section, g.name, r.Systems[0], g.metric)
		if ratio, known := Ratio(ours, r.Find(g.section, g.name, g.rival, g.metric)); known {
			verdicts = append(verdicts, g.judge(">=", ratio, ratio >= g.want))
		} else if g.rival == "" && ours != nil {
			verdicts = append(verdicts, g.judge("<=", ours.Median, ours.Median <= g.want))
		}
	}
	for _, role := range []string{"timewheel-api", "timewheel-worker"} {
		most := 0.0
		for _, p := range r.Peaks {
			if p.Role == role {
				most = max(most, p.Bytes)
			}
		}
		if most > 0 {
			seen := fmt.Sprintf("%.0f MB", most/1e6)
			verdicts = append(verdicts, verdict{"memory of " + role + " throughout", "<= 100 MB", seen, most <= maxMemory})
		}
	}
	return verdicts
}

func (g goal) judge(sign string, seen float64, met bool) verdict {
	return verdict{g.what, fmt.Sprintf("%s %s %s", sign, Number(g.want), g.unit), Number(seen) + " " + g.unit, met}
}
