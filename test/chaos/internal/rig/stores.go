package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// dumps are what is kept of Postgres, as lines of JSON. The number of the create that
// made a task stands at the end of the URL that the task calls.
var dumps = []struct{ file, sql string }{
	{history.RowsFile, `
		SELECT id, coalesce(substring(payload->>'url' FROM '[0-9]+$')::bigint, 0) AS n, status, execution_time AS due,
		       attempt, max_attempts, coalesce(failure_code, '') AS failure FROM tasks ORDER BY id`},
	{history.TransitionsFile, `
		SELECT seq, task, old_status AS "from", new_status AS "to", attempt, max_attempts AS max, worker, session_dead,
		       failure, due, at FROM audit ORDER BY seq`},
	{history.SessionsFile, `SELECT id, host FROM workers ORDER BY started_at`},
}

// Dump writes what both stores hold into the history; Postgres as of one
// moment, since tasks that are due later may go on meanwhile.
func (r *Rig) Dump(ctx context.Context) error {
	err := pgx.BeginTxFunc(ctx, r.DB, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		for _, dump := range dumps {
			rows, err := tx.Query(ctx, `SELECT to_json(line) FROM (`+dump.sql+`) line`)
			if err != nil {
				return fmt.Errorf("dump %s: %w", dump.file, err)
			}
			var line json.RawMessage
			_, err = pgx.ForEachRow(rows, []any{&line}, func() error {
				r.Record.Write(dump.file, line)
				return nil
			})
			if err != nil {
				return fmt.Errorf("dump %s: %w", dump.file, err)
			}
		}
		return nil
	})
	for _, part := range []string{"due", "claimed"} {
		entries, ringErr := r.ring(ctx, part)
		err = errors.Join(err, ringErr)
		for _, entry := range entries {
			r.Record.Write(history.RingFile, entry)
		}
	}
	return err
}

// ringEntry is one member of a sorted set of Redis.
type ringEntry struct {
	Key    string  `json:"key"`
	Member string  `json:"member"`
	Score  float64 `json:"score"`
}

// ring reads a part, due or claimed, of the rings of all types.
func (r *Rig) ring(ctx context.Context, part string) (entries []ringEntry, err error) {
	keys, err := r.Ring.Keys(ctx, "timewheel:{*}:"+part).Result()
	if err != nil {
		return nil, fmt.Errorf("read redis: %w", err)
	}
	for _, key := range keys {
		members, err := r.Ring.ZRangeWithScores(ctx, key, 0, -1).Result()
		if err != nil {
			return nil, fmt.Errorf("read redis: %w", err)
		}
		for _, m := range members {
			entries = append(entries, ringEntry{Key: key, Member: fmt.Sprint(m.Member), Score: m.Score})
		}
	}
	return entries, nil
}

// Vitals notes what every process holds, before or after the faults.
func (r *Rig) Vitals(ctx context.Context, after bool) error {
	for _, n := range r.Nodes() {
		metrics, err := n.Get(ctx, "/metrics")
		if err != nil {
			return fmt.Errorf("read the vitals of %s: %w", n.Name, err)
		}
		v := history.Vitals{Node: n.Name, After: after}
		for name, into := range map[string]*int{
			"go_goroutines": &v.Goroutines, "process_open_fds": &v.Descriptors, "process_resident_memory_bytes": &v.RSS,
		} {
			_, rest, _ := strings.Cut("\n"+metrics, "\n"+name+" ")
			value, err := strconv.ParseFloat(strings.SplitN(rest, "\n", 2)[0], 64)
			if err != nil {
				return fmt.Errorf("read the metric %s of %s: %w", name, n.Name, err)
			}
			*into = int(value)
		}
		r.Record.Write(history.VitalsFile, v)
	}
	v := history.Vitals{Node: "postgres", After: after}
	err := r.DB.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'timewheel'`).Scan(&v.Connections)
	if err != nil {
		return fmt.Errorf("count the connections to postgres: %w", err)
	}
	r.Record.Write(history.VitalsFile, v)
	return nil
}

// look is something of which there should be none.
type look struct {
	what, sql string
	args      []any
}

// Settle waits until both stores say what they should, for the time that the
// system may take after the last fault, and says what is still wrong then. It
// gives what is open even then so much patience to end, so that it can be judged.
func (r *Rig) Settle(ctx context.Context, limit, patience time.Duration) history.Settled {
	start := time.Now()
	settled := history.Settled{Limit: limit.Seconds()}
	settled.Wrong = await(ctx, limit, func() []string { return r.wrong(ctx, start) })
	settled.Took = time.Since(start).Seconds()
	due := look{fmt.Sprintf("tasks that are due are still open after %s more", patience), `
		SELECT count(*) FROM tasks WHERE outcome = 'open' AND due_at < $1`, []any{time.Now()}}
	settled.Wrong = append(settled.Wrong, await(ctx, patience, func() []string { return r.find(ctx, due) })...)
	return settled
}

// await looks again and again until nothing is wrong or the time is over, and returns
// what is wrong then.
func await(ctx context.Context, limit time.Duration, wrong func() []string) (found []string) {
	_, _ = Wait(ctx, limit, func() (bool, error) { // what is found tells all
		found = wrong()
		return len(found) == 0, nil
	})
	return found
}

// find says how many there are of what should not be. What cannot be looked at is wrong
// too.
func (r *Rig) find(ctx context.Context, looks ...look) (found []string) {
	for _, l := range looks {
		var n int
		switch err := r.DB.QueryRow(ctx, l.sql, l.args...).Scan(&n); {
		case err != nil:
			found = append(found, fmt.Sprintf("look whether %s: %v", l.what, err))
		case n > 0:
			found = append(found, fmt.Sprintf("%d %s", n, l.what))
		}
	}
	return found
}

// wrong lists what the stores should not hold once nothing has disturbed them
// since calm. Tasks that cross the edge of the horizon, or fall due, while we look may
// be in Redis or not.
func (r *Rig) wrong(ctx context.Context, calm time.Time) []string {
	due, err := r.ring(ctx, "due")
	if err != nil {
		return []string{err.Error()}
	}
	ids := make([]string, len(due))
	for i := range due {
		ids[i] = due[i].Member
	}
	return r.find(ctx,
		look{"tasks have not ended that were due at the last fault", `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND due_at < $1`, []any{calm}},
		look{"tasks are overdue", `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND status = 'submitted'
			AND due_at < clock_timestamp() - interval '1 second'`, nil},
		look{"tasks are running for sessions that are dead", `
			SELECT count(*) FROM tasks JOIN workers ON workers.id = worker_id
			WHERE status = 'started_executing' AND (dead_at IS NOT NULL OR lease_until < clock_timestamp() - interval '3 seconds')`, nil},
		look{"receipts of dead sessions are left", `
			SELECT count(*) FROM starts JOIN workers ON workers.id = worker_id WHERE dead_at IS NOT NULL`, nil},
		look{"receipts are left although all of their tasks have ended", `
			SELECT count(*) FROM starts JOIN workers ON workers.id = worker_id
			WHERE NOT EXISTS (SELECT FROM tasks WHERE id = ANY(task_ids) AND outcome = 'open')
			AND lease_until < clock_timestamp() - interval '3 seconds'`, nil},
		look{"tasks inside the horizon are not in redis", `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND status = 'submitted'
			AND due_at BETWEEN clock_timestamp() + interval '1 second' AND clock_timestamp() + $2::interval - interval '3 seconds'
			AND id NOT IN (SELECT unnest($1::text[])::uuid)`, []any{ids, r.Config.Horizon}},
		look{"ids in redis name tasks that wait no more", `
			SELECT count(*) FROM unnest($1::text[]) AS ring (member) LEFT JOIN tasks ON id = member::uuid
			WHERE tasks.id IS NULL OR status IN ('done', 'failed', 'deleted')
			AND coalesce(finished_at, '-infinity') < clock_timestamp() - interval '1 second'`, []any{ids}})
}
