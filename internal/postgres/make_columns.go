package postgres

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/timewheel/timewheel/internal/task"
)

// makeOccurrencesQuery has three parameters more than a create: the schedules, the instants
// and the revisions of the drafts.
var makeOccurrencesQuery = fmt.Sprintf(makeOccurrences,
	fmt.Sprintf("$%d", len(createColumns)+1), fmt.Sprintf("$%d", len(createColumns)+2), fmt.Sprintf("$%d", len(createColumns)+3))

func stepArguments(steps []task.Advance) []any {
	n := len(steps)
	names, revisions, reasons := make([]string, n), make([]int64, n), make([]string, n)
	until, next, skippedAt := make([]time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	late, overlap, last := make([]int64, n), make([]int64, n), make([]pgtype.UUID, n)
	for i := range steps {
		s := &steps[i]
		names[i], revisions[i], reasons[i] = s.Name, s.Revision, s.Reason
		until[i], next[i], skippedAt[i] = s.MadeUntil, s.NextAt, s.LastAt
		late[i], overlap[i] = s.Late, s.Overlap
		if made := len(s.Made); made > 0 {
			last[i] = pgtype.UUID{Bytes: s.Made[made-1].Draft.ID, Valid: true}
		}
	}
	return []any{names, revisions, until, next, late, overlap, skippedAt, reasons, last}
}

func occurrenceArguments(steps []task.Advance) []any {
	var names []string
	var at []time.Time
	var revisions []int64
	for i := range steps {
		for j := range steps[i].Made {
			names, at, revisions = append(names, steps[i].Name), append(at, steps[i].Made[j].At), append(revisions, steps[i].Revision)
		}
	}
	return []any{names, at, revisions}
}
