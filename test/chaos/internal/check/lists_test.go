package check_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/chaos/internal/check"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

func TestPagesAreLooks(t *testing.T) {
	t.Parallel()
	page := func(ms int, statuses ...string) history.Page {
		p := history.Page{Invoked: at(ms), Returned: at(ms + 5)}
		for _, status := range statuses {
			p.Tasks = append(p.Tasks, history.Listed{Task: id, Status: status})
		}
		return p
	}
	for name, c := range map[string]struct {
		page history.Page
		want []string
	}{
		"as it was":         {page(200, "done"), nil},
		"before its create": {page(-10), nil},
		"left out":          {page(200), []string{check.Linear}},
		"as it was before":  {page(206, "started_executing"), []string{check.Linear}},
		"twice":             {page(155, "done", "started_executing"), []string{check.Lists}},
		"not of this page":  {history.Page{Invoked: at(200), Returned: at(205), Before: id}, nil},
		"not of it either":  {history.Page{Invoked: at(200), Returned: at(205), After: worker}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := good()
			h.Pages = []history.Page{c.page}
			v := check.All(h)
			require.Equal(t, c.want, v.Broken(), "%v", v.Found)
		})
	}
}

func TestATaskIsInOnePlace(t *testing.T) {
	t.Parallel()
	h := good()
	h.Doubled = []judge.Row{h.Rows[id]}
	require.Equal(t, []string{check.Multiset}, check.All(h).Broken())
}

// A task that ended may be gone once it was kept for as long as it must be, and comes back
// never.
func TestRetentionKeepsWhatItMust(t *testing.T) {
	t.Parallel()
	look := func(ms int, status string) judge.Call {
		call := judge.Call{Op: "get", N: 1, Task: id, Invoked: at(ms), Returned: at(ms + 5), Outcome: judge.OK, Status: status}
		if status == "" {
			call.Outcome, call.Why = judge.Fail, "not_found"
		}
		return call
	}
	for name, c := range map[string]struct {
		looks []judge.Call
		want  []string
	}{
		"kept":             {[]judge.Call{look(5100, "done"), look(9000, "done")}, nil},
		"gone":             {[]judge.Call{look(5100, "done"), look(5151, ""), look(5200, "")}, nil},
		"gone too early":   {[]judge.Call{look(5100, "")}, []string{check.Linear}},
		"gone and there":   {[]judge.Call{look(5200, ""), look(5300, "done")}, []string{check.Linear}},
		"gone when it ran": {[]judge.Call{look(130, "")}, []string{check.Linear}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := good()
			row := h.Rows[id]
			row.Finished = at(150)
			h.Rows[id] = row
			h.Retention = 5 * time.Second
			h.Calls = append(h.Calls, c.looks...)
			v := check.All(h)
			require.Equal(t, c.want, v.Broken(), "%v", v.Found)
			h.Retention = 0
			require.Equal(t, name != "kept", len(check.All(h).Found) > 0)
		})
	}
}
