package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// history is the migration before which the rows of the table as it was are moved: its
// version is reached once only rows that have ended are left there.
const history = 11

const (
	// movePage is how many rows one statement moves. Whoever wants one of them waits as long.
	movePage = 250
	// manyPages is after how many of them it is worth it to clean a table.
	manyPages = 40
	// moveAgain is the pause before rows that others have locked are looked for again.
	moveAgain = 50 * time.Millisecond
	// cutAhead is how far ahead the end of the oldest part of the history lies, and cutLeft
	// how much of that must be left.
	cutAhead, cutLeft = 2 * time.Hour, 10 * time.Minute
)

// moveRows leaves in the table as it was what ended before a time that is ahead, and nothing
// else, while nodes of the release before go on. Each page is a transaction; whoever is
// killed is taken up by the next one. A row moves by an update: a statement that waits for
// it fails, and is tried again by its node, where one that a delete and an insert
// passed by would have found nothing.
func moveRows(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `
		SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off`); err != nil {
		return err
	}
	m := mover{conn: conn, log: log, started: time.Now()}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"move the open tasks", m.open},
		{"clean the indexes of the moved tasks", m.clean},
		{"bound the oldest part of the history", m.cut},
		{"move what ended meanwhile", m.ended},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

type mover struct {
	conn    *sql.Conn
	log     *slog.Logger
	started time.Time
	moved   int
}

// open moves what is open, soonest first, until nothing is: from then on no row of the table
// as it was changes any more.
func (m *mover) open(ctx context.Context) error {
	logged := time.Now()
	for at, id := time.Unix(0, 0), ""; ; {
		var seen, moved int
		var nextAt sql.NullTime
		var nextID sql.NullString
		err := m.conn.QueryRowContext(ctx, moveOpen, at, id, movePage).Scan(&seen, &moved, &nextAt, &nextID)
		if err != nil {
			return err
		}
		m.moved += moved
		if time.Since(logged) > 10*time.Second {
			m.log.Info("open tasks are moved", "moved", m.moved, "due_until", nextAt.Time)
			logged = time.Now()
		}
		if seen == movePage {
			at, id = nextAt.Time, nextID.String
			continue
		}
		var left bool
		if err := m.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM tasks_before WHERE outcome = 'open')`).Scan(&left); err != nil {
			return err
		}
		if !left {
			m.log.Info("open tasks were moved", "moved", m.moved, "took", time.Since(m.started).Round(time.Millisecond).String())
			return nil
		}
		at, id = time.Unix(0, 0), ""
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(moveAgain):
		}
	}
}

// The earliest time that a task can have is later than $1 at first, and so no id is needed.
const moveOpen = `
	WITH page AS MATERIALIZED (
		SELECT id, due_at FROM tasks_before
		WHERE outcome = 'open' AND (due_at, id) > ($1, coalesce(nullif($2, '')::uuid, '00000000-0000-0000-0000-000000000000'))
		ORDER BY due_at, id LIMIT $3
	), free AS MATERIALIZED (
		SELECT b.id FROM page JOIN tasks_before b ON b.id = page.id WHERE b.outcome = 'open' FOR UPDATE OF b SKIP LOCKED
	), moved AS (
		UPDATE tasks SET before_history = false FROM free WHERE tasks.id = free.id AND tasks.before_history RETURNING 1
	)
	SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM moved), last.due_at, last.id::text
	FROM (VALUES (1)) one LEFT JOIN LATERAL (SELECT due_at, id FROM page ORDER BY due_at DESC, id DESC LIMIT 1) last ON true`

// clean takes what was moved out of the indexes, or each list of open tasks would read it. The
// rest of the table is left to the server, and its end too, since that needs a lock.
func (m *mover) clean(ctx context.Context) error {
	if m.moved == 0 {
		return nil
	}
	_, err := m.conn.ExecContext(ctx, `
		SET vacuum_cost_delay = '2ms'; SET vacuum_cost_limit = 1000`)
	if err == nil {
		_, err = m.conn.ExecContext(ctx, `VACUUM (INDEX_CLEANUP on, TRUNCATE off) tasks_before`)
	}
	return err
}

// cut chooses the time before which all of it ended, which is ahead: what ends until then will
// be of that part too.
func (m *mover) cut(ctx context.Context) error {
	var at time.Time
	err := m.conn.QueryRowContext(ctx, `SELECT at FROM history_cut WHERE at > clock_timestamp() + make_interval(secs => $1)`,
		cutLeft.Seconds()).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		err = m.chooseCut(ctx)
	}
	if err != nil {
		return err
	}
	_, err = m.conn.ExecContext(ctx, `ALTER TABLE tasks_before VALIDATE CONSTRAINT tasks_before_cut`)
	return err
}

func (m *mover) chooseCut(ctx context.Context) error {
	tx, err := m.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // After a commit it does nothing.
	var constraint string
	err = tx.QueryRowContext(ctx, `
		INSERT INTO history_cut (at) VALUES (date_trunc('hour', clock_timestamp() + make_interval(secs => $1)))
		ON CONFLICT (one) DO UPDATE SET at = excluded.at
		RETURNING format('LOCK TABLE tasks_before IN SHARE UPDATE EXCLUSIVE MODE; SET LOCAL lock_timeout = ''300ms'';
			ALTER TABLE tasks_before
				DROP CONSTRAINT IF EXISTS tasks_before_cut,
				ADD CONSTRAINT tasks_before_cut CHECK (finished_at IS NOT NULL AND finished_at < %L
					AND status IS NOT NULL AND status IN (''done'', ''failed'', ''deleted'')) NOT VALID', at)`,
		cutAhead.Seconds()).Scan(&constraint)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, constraint); err != nil {
		return err
	}
	return tx.Commit()
}

// ended moves what has ended in another place since there is one. Nodes end more of it
// meanwhile, which the migration itself moves in the end.
func (m *mover) ended(ctx context.Context) error {
	for pages := 0; ; pages++ {
		done, err := m.conn.ExecContext(ctx, `
			UPDATE tasks SET before_history = true
			FROM (SELECT id FROM tasks_ended_default LIMIT $1) page
			WHERE tasks.id = page.id AND NOT tasks.before_history`, movePage)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err == nil && n < movePage && pages >= manyPages {
			// The migration reads that table while it has it to itself.
			_, err = m.conn.ExecContext(ctx, `VACUUM tasks_ended_default`)
		}
		if err != nil || n < movePage {
			return err
		}
	}
}
