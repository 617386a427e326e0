package check

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

// multiset adds to the common judgement that a task is in one place: a row that moves is
// never in two, and none ends twice.
func multiset(h *History, v *judge.Verdict) {
	judge.Multiset(&h.Record, v)
	for _, row := range h.Doubled {
		v.Breach("doubled", Multiset, "%s is there twice: once %s, once %s", row.ID, row.Status, h.Rows[row.ID].Status)
	}
}

// lists judges each page by itself. What it says of a task is judged as a look at that.
func lists(h *History, v *judge.Verdict) {
	v.Counts["pages"] += len(h.Pages)
	for _, page := range h.Pages {
		v.Counts["tasks on pages"] += len(page.Tasks)
		for i, t := range page.Tasks[min(1, len(page.Tasks)):] {
			switch before := page.Tasks[i]; compare(before.Task, t.Task) {
			case 0:
				v.Find(Lists, "%s is on one page twice: once %s, once %s", t.Task, before.Status, t.Status)
			case -1:
				v.Find(Lists, "%s comes after %s, which is older", t.Task, before.Task)
			}
		}
	}
}

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// looks are what pages say of each task: those that they show, and those that are there and
// which they leave out.
func looks(h *History) (calls []judge.Call) {
	ids := make([]uuid.UUID, 0, len(h.Rows))
	for id := range h.Rows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compare)
	for _, page := range h.Pages {
		shown := map[uuid.UUID]bool{}
		for _, t := range page.Tasks {
			if shown[t.Task] {
				continue // that is found elsewhere
			}
			shown[t.Task] = true
			calls = append(calls, look(page, t.Task, judge.OK, t.Status))
		}
		from, _ := slices.BinarySearchFunc(ids, page.After, compare) // that one is on the page
		for _, id := range ids[from:] {
			if page.Before != uuid.Nil && compare(id, page.Before) >= 0 {
				break
			}
			if !shown[id] {
				calls = append(calls, look(page, id, judge.Fail, ""))
			}
		}
	}
	return calls
}

func look(page history.Page, id uuid.UUID, outcome judge.Outcome, status string) judge.Call {
	call := judge.Call{Op: "get", Task: id, Invoked: page.Invoked, Returned: page.Returned, Outcome: outcome, Status: status}
	if outcome == judge.Fail {
		call.Why = notFound
	}
	return call
}
