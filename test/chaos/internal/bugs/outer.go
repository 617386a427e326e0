package bugs

import "github.com/timewheel/timewheel/test/chaos/internal/proxy"

const (
	startFile  = "internal/postgres/start.go"
	finishFile = "internal/postgres/finish.go"
	reapFile   = "internal/postgres/reap.go"
	createFile = "internal/postgres/create.go"
	deleteFile = "internal/postgres/delete.go"
)

// outer are bugs of the system of record and of what speaks with it.
func outer() []Bug {
	return []Bug{
		{
			Name:   "T2 without status",
			Change: change(startFile, "t.id = ANY($3) AND t.status = 'submitted' AND t.due_at", "t.id = ANY($3) AND t.due_at"),
			Hurt:   strays, Load: Load{Deletes: 30},
		},
		{
			Name:   "T2 without the clock",
			Change: change(startFile, " AND t.due_at <= clock_timestamp()", ""),
			Ahead:  true,
		},
		{
			Name: "T2 without the session check",
			Change: append(change(startFile, "WHERE id = $1 AND dead_at IS NULL\n", "WHERE id = $1\n"),
				change(startFile, "WHERE session.live AND t.id", "WHERE t.id")...),
			Hurt: stopPastLease("claimed"),
		},
		{
			Name: "T2 issued again without its receipt",
			Change: change(startFile, `started, err = db.receipt(ctx, session, seq)`,
				`started, err = nil, nil`),
			Hurt: cut("T2", 0.3, proxy.After),
		},
		{
			Name: "handler run before T2 is confirmed",
			Change: change(startFile, `		if isUniqueViolation(err, "starts_pkey") {`, `		if err != nil && !isUniqueViolation(err, "starts_pkey") {
			rows, lookErr := db.pool.Query(ctx, "SELECT t.id, t.task_type, t.execution_time, t.due_at, t.created_at, t.attempt, t.max_attempts,"+
				" coalesce(t.started_at, now()), t.payload, false"+
				" FROM tasks t WHERE t.id = ANY($1) AND t.status IN ('submitted', 'started_executing')", uuids(ids))
			if lookErr != nil {
				return lookErr
			}
			started, err = collectStarted(rows, session)
		}
		if isUniqueViolation(err, "starts_pkey") {`),
			Hurt: cut("T2", 0.5, proxy.Before),
		},
		{
			Name:   "T3 without worker and attempt",
			Change: change(finishFile, " AND t.worker_id = $1 AND t.attempt = ended.attempt`", "`"),
			Hurt:   wakeZombies("ran"), Load: Load{Retried: 100, Slow: 100},
		},
		{
			Name:   "T3 without status",
			Change: change(finishFile, "t.id = ended.id AND t.status = 'started_executing' AND", "t.id = ended.id AND"),
			Hurt:   wakeZombies("ran"), Load: Load{Slow: 50},
		},
		{
			Name:   "reap without the dead mark",
			Change: change(reapFile, "UPDATE workers SET dead_at = clock_timestamp() FROM locked", "UPDATE workers SET host = host FROM locked"),
			Hurt:   stopPastLease("started"), Load: Load{Slow: 50},
		},
		{
			Name:   "reap gives another attempt that nobody allowed",
			Change: change(reapFile, "attemptsLeft", "`t.attempt <= t.max_attempts`"),
			Hurt:   killWorkers, Load: Load{Slow: 50},
		},
		{
			Name: "delete by check-then-act",
			Change: change(deleteFile, "\t\t\ttag, err := db.pool.Exec(ctx, `\n\t\t\t\tUPDATE tasks SET status = 'deleted', finished_at = clock_timestamp()\n\t\t\t\tWHERE id = $1 AND status = 'submitted'`, id)",
				"\t\t\tseen, err := db.status(ctx, id)\n\t\t\tif err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t\tif seen != task.Submitted {\n\t\t\t\treturn &task.StatusError{Status: seen}\n\t\t\t}\n\t\t\ttag, err := db.pool.Exec(ctx, `\n\t\t\t\tUPDATE tasks SET status = 'deleted', finished_at = clock_timestamp()\n\t\t\t\tWHERE id = $1`, id)"),
			Load: Load{Deletes: 100, Slow: 50},
		},
		{
			Name: "create acknowledged before the commit",
			Change: change("internal/scheduler/create.go", `	out, err := group.Do(ctx, sub)
`, `	go group.Do(context.WithoutCancel(ctx), sub)
	out, err := outcome{}, error(nil)
	for _, d := range sub.drafts {
		out.created = append(out.created, task.Created{DueIn: task.DueIn{ID: d.ID}})
	}
`),
			Hurt: killAPIsThatWait,
		},
		{
			Name: "create issued again under a new id",
			Change: change(createFile, "	drafts := c.some()\n\tif ",
				"	for _, at := range c.left {\n\t\tc.drafts[at].ID[15]++\n\t}\n\tdrafts := c.some()\n\tif "),
			Hurt: cut("T0", 0.5, proxy.After),
		},
		{
			Name:   "unknown outcome reported as nothing changed",
			Change: change("internal/postgres/retry.go", "outcome = task.ErrUnknownOutcome", "outcome = task.ErrUnavailable"),
			Hurt:   cut("T0", 1, proxy.After),
		},
	}
}
