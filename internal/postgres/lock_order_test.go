package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// A migration locks the tables in this order while nodes run. It deadlocks with
// a statement that holds a later table and waits for an earlier one, unless that
// statement holds the first one too, which the migration must have had before.
func TestStatementsComeToTheTablesInTheOrderOfTheMigrations(t *testing.T) {
	t.Parallel()
	order := []string{"workers", "starts", "tasks"}
	for name, statement := range map[string]func(context.Context, *fixture, uuid.UUID, task.ID){
		"start": func(ctx context.Context, f *fixture, session uuid.UUID, id task.ID) {
			_, _, _ = f.Start(ctx, session, 2, everyType, []task.ID{id})
		},
		"finish": func(ctx context.Context, f *fixture, session uuid.UUID, id task.ID) {
			_, _ = f.Finish(ctx, session, []task.Finish{{ID: id, Attempt: 1}}, task.Closed{Once: []int64{1}}, true)
		},
		"end": func(ctx context.Context, f *fixture, session uuid.UUID, _ task.ID) { _, _ = f.End(ctx, session) },
		"forget": func(ctx context.Context, f *fixture, _ uuid.UUID, _ task.ID) {
			for done := false; !done; {
				var err error
				if _, done, err = f.DeleteRest(ctx, time.Hour, 10); err != nil {
					return
				}
			}
		},
		"list what runs": func(ctx context.Context, f *fixture, _ uuid.UUID, _ task.ID) {
			_, _ = f.List(ctx, task.Filter{Status: task.Started, Limit: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, table := range order {
				f := open(t)
				session, id := f.session(t), f.tasks(t, 1, 1)[0]
				if name != "start" {
					issue(t, f.DB, session, 1, []task.ID{id})
				}
				tx, err := f.sql.Begin(t.Context())
				require.NoError(t, err)
				t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // or nothing would end
				_, err = tx.Exec(t.Context(), "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
				require.NoError(t, err)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					statement(t.Context(), f, session, id)
				}()
				held, waits := heldBeside(t, f, table, ended)
				if waits && (i == 0 || !slices.Contains(held, order[0])) {
					for _, later := range order[i+1:] {
						require.NotContains(t, strings.Join(held, " "), later, "waits for %s", table)
					}
				}
				require.NoError(t, tx.Rollback(t.Context()))
				<-ended
			}
		})
	}
}

// heldBeside waits until a statement waits for the table, and returns that one
// and the tables that it has locked by then; or until it has ended without it.
func heldBeside(t *testing.T, f *fixture, table string, ended <-chan struct{}) (held []string, waits bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		rows, err := f.sql.Query(t.Context(), `
			SELECT own.relation::regclass::text FROM pg_locks own
			WHERE own.locktype = 'relation' AND own.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			  AND own.pid IN (SELECT pid FROM pg_locks WHERE NOT granted AND relation IN
				(SELECT oid FROM pg_class WHERE relname ~ ('^' || $1 || '(_open|_ended.*)?$')))`, table)
		require.NoError(t, err)
		held, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		select {
		case <-ended:
			return true
		default:
			waits = len(held) > 0
			return waits
		}
	}, patience, glance)
	return held, waits
}
