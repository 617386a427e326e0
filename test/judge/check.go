package judge

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
)

// The checkers of this package.
const (
	ScheduleChecker = "Schedule" // never early, never twice, and what was deleted never
	MultisetChecker = "Multiset" // as many tasks as were created
)

// The kinds of broken promises that are counted.
const (
	Early         = "early"
	Late          = "started too late"
	Twice         = "twice"
	DeletedButRan = "deleted but ran"
	Lost          = "lost"
)

// Schedule judges what ran, how often and when, against what was asked. The witness'
// word counts, and not the scheduler's.
func Schedule(r *Record, v *Verdict) {
	deleted, maybe := map[uuid.UUID]time.Time{}, map[uuid.UUID]bool{}
	for _, c := range r.Calls {
		if c.Op != "delete" && c.Op != "cancel" {
			continue
		}
		v.Counts[c.Op+"s "+string(c.Outcome)]++
		if c.Outcome == OK && (c.Op == "delete" || c.Status == client.Deleted) {
			deleted[c.Task] = c.Returned
		}
		maybe[c.Task] = maybe[c.Task] || c.Outcome != Fail
	}
	for id, row := range r.Rows {
		arrivals := r.Arrivals[id]
		v.Counts["executions"] += len(arrivals)
		for _, a := range arrivals {
			if a.At.Before(row.Due) {
				v.Breach(Early, ScheduleChecker, "%s arrived %s before its time", id, row.Due.Sub(a.At))
			}
		}
		if at, told := deleted[id]; told || row.Status == client.Deleted {
			afterDelete(r, v, row, at)
		}
		if row.Status == client.Deleted && !maybe[id] {
			v.Find(ScheduleChecker, "%s is deleted, and nobody was told so", id)
		}
		if row.MaxAttempts > 1 {
			repeated(r, v, row)
		} else if len(arrivals) > 1 {
			v.Breach(Twice, ScheduleChecker, "%s arrived %d times", id, len(arrivals))
		}
		expiry(row, len(arrivals), v)
		if row.Status == client.Done && len(arrivals) == 0 {
			v.Breach(Lost, ScheduleChecker, "%s is done, and never arrived", id)
		}
	}
	for id, arrivals := range r.Arrivals {
		if _, known := r.Rows[id]; !known {
			v.Find(ScheduleChecker, "%s arrived %d times, and there is no such task", id, len(arrivals))
		}
	}
}

// afterDelete judges a task that was deleted: it never ran. One that may be
// attempted again can have run before, and been deleted while it waited.
func afterDelete(r *Record, v *Verdict, row Row, at time.Time) {
	for _, a := range r.Arrivals[row.ID] {
		if row.MaxAttempts == 1 || !at.IsZero() && a.At.After(at) && !slices.Contains(r.Lost[row.ID], a.Attempt) {
			v.Breach(DeletedButRan, ScheduleChecker, "%s was deleted, and arrived with attempt %d", row.ID, a.Attempt)
		}
	}
}

// expiry judges that a task with a not_after started by then, or else expired. Its times are
// those of the store's clock.
func expiry(row Row, arrivals int, v *Verdict) {
	expired := row.Failure == "expired"
	switch {
	case row.NotAfter.IsZero() && expired:
		v.Find(ScheduleChecker, "%s is expired, and might have started at any time", row.ID)
	case row.NotAfter.IsZero():
	case row.Started.After(row.NotAfter):
		v.Breach(Late, ScheduleChecker, "%s started %s after it might", row.ID, row.Started.Sub(row.NotAfter))
	case expired && !row.Finished.After(row.NotAfter):
		v.Find(ScheduleChecker, "%s expired %s before it could no longer start", row.ID, row.NotAfter.Sub(row.Finished))
	case expired && row.MaxAttempts == 1 && arrivals > 0:
		v.Breach(Late, ScheduleChecker, "%s is expired, and arrived %d times", row.ID, arrivals)
	}
}

// repeated judges a task whose user allowed more than one attempt: no attempt
// arrives twice, none beyond the limit, and they come in order, except for
// those of a worker that was found lost.
func repeated(r *Record, v *Verdict, row Row) {
	highest, seen := 0, map[int]bool{}
	for _, a := range r.Arrivals[row.ID] {
		switch {
		case seen[a.Attempt]:
			v.Breach(Twice, ScheduleChecker, "%s arrived twice with attempt %d", row.ID, a.Attempt)
		case a.Attempt > row.MaxAttempts:
			v.Find(ScheduleChecker, "%s arrived with attempt %d of %d", row.ID, a.Attempt, row.MaxAttempts)
		case a.Attempt < highest && !slices.Contains(r.Lost[row.ID], a.Attempt):
			v.Find(ScheduleChecker, "%s arrived with attempt %d after %d", row.ID, a.Attempt, highest)
		}
		seen[a.Attempt] = true
		highest = max(highest, a.Attempt)
	}
}

// Multiset judges that every create which was acknowledged is there once, and that
// what is there was asked for.
func Multiset(r *Record, v *Verdict) {
	creates, moves := map[int64]Call{}, map[uuid.UUID]Call{}
	for _, c := range r.Calls {
		switch c.Op {
		case "create":
			creates[c.N] = c
			v.Counts["creates "+string(c.Outcome)]++
		case "move":
			moves[c.Task] = c
			v.Counts["moves "+string(c.Outcome)]++
		}
	}
	rows := map[int64]int{}
	for id, row := range r.Rows {
		rows[row.N]++
		create, known := creates[row.N]
		switch {
		case !known:
			v.Breach("unexpected", MultisetChecker, "%s exists, and nobody asked for it", id)
			continue
		case create.Outcome == Fail:
			v.Breach("unexpected", MultisetChecker, "%s exists, and its client was told %q", id, create.Why)
		case create.Outcome == Unknown:
			v.Counts["recovered"]++
		case create.Task != id && rows[row.N] == 1:
			v.Find(MultisetChecker, "create %d was answered with %s and made %s", row.N, create.Task, id)
		}
		asked := create.Due
		if move, moved := moves[id]; moved && (move.Outcome == OK || move.Outcome == Unknown && row.Due.Equal(move.Due)) {
			asked = move.Due
		}
		if !row.Due.Equal(asked) {
			v.Find(MultisetChecker, "%s is due at %s, asked was %s", id, row.Due, asked)
		}
	}
	for n, count := range rows {
		if count > 1 {
			v.Breach("duplicated", MultisetChecker, "create %d made %d tasks", n, count)
		}
	}
	for n, create := range creates {
		if create.Outcome != OK {
			continue
		}
		v.Counts["acknowledged"]++
		if rows[n] == 0 {
			v.Breach(Lost, MultisetChecker, "create %d was acknowledged as %s, and there is no such task", n, create.Task)
		}
	}
}
