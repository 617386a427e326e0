package migrations_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit"
)

// openBefore is a database whose history is about to begin, with two open tasks in the table
// as it was.
func openBefore(t *testing.T) (url string, conn *pgx.Conn, ids [2]uuid.UUID) {
	t.Helper()
	url = testkit.Postgres(t)
	to(t, url, 7)
	conn = connect(t, url)
	for i := range ids {
		ids[i] = uuid.New()
		_, err := conn.Exec(t.Context(), `INSERT INTO tasks (id, task_type, execution_time, due_at) VALUES ($1, 'foo', now(), now())`, ids[i])
		require.NoError(t, err)
	}
	to(t, url, 10)
	return url, conn, ids
}

// A row that somebody has locked is passed over, and moved when it is free.
func TestWhatIsLockedIsMovedLater(t *testing.T) {
	t.Parallel()
	url, conn, ids := openBefore(t)
	holder, err := connect(t, url).Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `SELECT FROM tasks_before WHERE id = $1 FOR UPDATE`, ids[0])
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- migrations.Up(url) }()
	require.Eventually(t, func() bool { return look(t, conn, `SELECT count(*)::text FROM tasks_open`) == "1" }, time.Minute, time.Millisecond)
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-ended)
	require.Equal(t, "2", look(t, conn, `SELECT count(*)::text FROM tasks_open`))
}

// A node's statement that waits for a row which is moved is told to try again, and not that
// there is no such task.
func TestWhoWaitsForAMovedRowIsToldToTryAgain(t *testing.T) {
	t.Parallel()
	url, conn, ids := openBefore(t)
	exec(t, conn, `
		CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
		CREATE TRIGGER hold BEFORE INSERT ON tasks_open FOR EACH ROW EXECUTE FUNCTION hold();
		SELECT pg_advisory_lock(1)`)
	waiting := func(n string) func() bool {
		return func() bool {
			return look(t, conn, `SELECT count(*)::text FROM pg_locks WHERE NOT granted
				AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`) == n
		}
	}
	ended, deleted := make(chan error, 1), make(chan error, 1)
	go func() { ended <- migrations.Up(url) }()
	require.Eventually(t, waiting("1"), time.Minute, time.Millisecond)
	node := connect(t, url)
	go func() {
		var gone []string
		deleted <- node.QueryRow(t.Context(), deleteBefore, ids[0]).Scan(&gone)
	}()
	require.Eventually(t, waiting("2"), time.Minute, time.Millisecond)
	exec(t, conn, `SELECT pg_advisory_unlock(1)`)
	var refusal *pgconn.PgError
	require.ErrorAs(t, <-deleted, &refusal)
	require.Equal(t, pgerrcode.SerializationFailure, refusal.Code)
	require.NoError(t, <-ended)
}
