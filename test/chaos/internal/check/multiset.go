package check

import "github.com/timewheel/timewheel/test/chaos/internal/history"

// multiset is K2: every create that was acknowledged is there once, and what is
// there was asked for.
func multiset(h *History, v *Verdict) {
	creates := map[int64]history.Call{}
	for _, c := range h.Calls {
		if c.Op == "create" {
			creates[c.N] = c
			v.Counts["creates "+string(c.Outcome)]++
		}
	}
	rows := map[int64]int{}
	for id, row := range h.Rows {
		rows[row.N]++
		create, asked := creates[row.N]
		switch {
		case !asked:
			v.Counts["unexpected"]++
			v.find(Multiset, "%s exists, and nobody asked for it", id)
		case create.Outcome == history.Fail:
			v.Counts["unexpected"]++
			v.find(Multiset, "%s exists, and its client was told %q", id, create.Why)
		case create.Outcome == history.Unknown:
			v.Counts["recovered"]++
		case create.Task != id && rows[row.N] == 1:
			v.find(Multiset, "create %d was answered with %s and made %s", row.N, create.Task, id)
		}
		if asked && !row.Due.Equal(create.Due) {
			v.find(Multiset, "%s is due at %s, asked was %s", id, row.Due, create.Due)
		}
	}
	for n, count := range rows {
		if count > 1 {
			v.Counts["duplicated"]++
			v.find(Multiset, "create %d made %d tasks", n, count)
		}
	}
	for n, create := range creates {
		if create.Outcome != history.OK {
			continue
		}
		v.Counts["acknowledged"]++
		if rows[n] == 0 {
			v.Counts["lost"]++
			v.find(Multiset, "create %d was acknowledged as %s, and there is no such task", n, create.Task)
		}
	}
}
