package rig

import (
	"context"
	_ "embed"
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
// made a task stands at the end of the URL that the task calls. What has ended is read where
// no retention reaches it.
var dumps = []struct{ file, sql string }{
	{history.RowsFile, `
		SELECT id, coalesce(substring(payload->>'url' FROM '[0-9]+$')::bigint, 0) AS n, task_type AS type, status, execution_time AS due,
		       attempt, max_attempts, coalesce(failure_code, '') AS failure, started_at AS started, finished_at AS finished,
		       not_after
		FROM (SELECT * FROM tasks_open UNION ALL SELECT * FROM archive) tasks ORDER BY id`},
	{history.TransitionsFile, `
		SELECT seq, task, old_status AS "from", new_status AS "to", attempt, max_attempts AS max, worker, session_dead,
		       failure, due, at, process
		FROM witnessed ORDER BY seq`},
}

// Dump writes what both stores hold into the history; Postgres as of one
// moment, since tasks that are due later may go on meanwhile.
func (r *Rig) Dump(ctx context.Context) error {
	err := pgx.BeginTxFunc(ctx, r.DB, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		for _, dump := range dumps {
			rows, err := tx.Query(ctx, `SELECT to_json(line) FROM (`+dump.sql+`) line`)
			if err == nil {
				var line json.RawMessage
				_, err = pgx.ForEachRow(rows, []any{&line}, func() error {
					r.Record.Write(dump.file, line)
					return nil
				})
			}
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
	keys, err := r.Keys(ctx, "timewheel:{*}:"+part)
	if err != nil {
		return nil, err
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

// Vitals notes what every process holds.
func (r *Rig) Vitals(ctx context.Context) error {
	for _, n := range r.Nodes() {
		metrics, err := n.Get(ctx, "/metrics")
		if err != nil {
			return fmt.Errorf("read the vitals of %s: %w", n.Name, err)
		}
		v := history.Vitals{Node: n.Name}
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
	v := history.Vitals{Node: "postgres"}
	err := r.DB.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'timewheel'`).Scan(&v.Connections)
	if err != nil {
		return fmt.Errorf("count the connections to postgres: %w", err)
	}
	r.Record.Write(history.VitalsFile, v)
	return nil
}

// looks are what there should be none of once nothing has disturbed the stores since
// @calm: for each a line that says what, and a query that counts it. Tasks that cross the
// edge of the horizon, or fall due, while we look may be in Redis or not.
//
//go:embed looks.sql
var looks string

// Settle waits until both stores say what they should, for the time that the
// system may take after the last fault, and says what is still wrong then. It
// gives what is open even then so much patience to end, so that it can be judged.
func (r *Rig) Settle(ctx context.Context, limit, patience time.Duration) history.Settled {
	start := time.Now()
	wrong, right := await(ctx, limit, func() []string { return r.wrong(ctx, start) })
	due := pgx.NamedArgs{"calm": time.Now()}
	open, _ := await(ctx, patience, func() []string {
		return r.find(ctx, fmt.Sprintf("tasks that are due are still open after %s more", patience), `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND due_at < @calm`, due)
	})
	return history.Settled{Took: right.Sub(start).Seconds(), Wrong: append(wrong, open...)}
}

// steady is how long nothing may be wrong before it counts as right: what is lost and
// found again and again is right for moments.
const steady = time.Second / 2

// await looks again and again until nothing is wrong any more or the time is over, and
// returns what is wrong then, and since when nothing is.
func await(ctx context.Context, limit time.Duration, wrong func() []string) (found []string, right time.Time) {
	right = time.Now()
	_, _ = Wait(ctx, limit, func() (bool, error) { // what is found tells all
		if found = wrong(); len(found) > 0 {
			right = time.Now()
		}
		return time.Since(right) >= steady, nil
	})
	return found, right
}

// wrong lists what the stores should not hold.
func (r *Rig) wrong(ctx context.Context, calm time.Time) (found []string) {
	due, err := r.ring(ctx, "due")
	if err != nil {
		return []string{err.Error()}
	}
	ids := []string{}
	for _, entry := range due {
		if entry.Key == LegacyKey {
			found = append(found, "a key of an older version is left in redis")
			continue
		}
		ids = append(ids, entry.Member)
	}
	for look := range strings.SplitSeq(looks, "\n\n") {
		what, query, _ := strings.Cut(strings.TrimPrefix(look, "-- "), "\n")
		found = append(found, r.find(ctx, what, query, pgx.NamedArgs{"calm": calm, "ids": ids, "horizon": r.Config.Horizon})...)
	}
	return found
}

// find says how many there are of what should not be. What cannot be looked at is wrong
// too.
func (r *Rig) find(ctx context.Context, what, query string, args pgx.NamedArgs) []string {
	var n int
	switch err := r.DB.QueryRow(ctx, query, args).Scan(&n); {
	case err != nil:
		return []string{fmt.Sprintf("look whether %s: %v", what, err)}
	case n > 0:
		return []string{fmt.Sprintf("%d %s", n, what)}
	}
	return nil
}
