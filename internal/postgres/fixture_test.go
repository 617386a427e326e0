package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// lease outlives every test: a session lapses only where a test says so.
	lease = time.Hour
	// patience bounds the wait for a condition that always comes.
	patience = 30 * time.Second
	// glance is the pace at which a condition is looked at.
	glance = 2 * time.Millisecond
)

// fixture is a database of the test's own.
type fixture struct {
	*postgres.DB
	url string
	// sql is a second way in, for what a test arranges and inspects by hand.
	sql *pgxpool.Pool
	log *logbook
	seq atomic.Int64
}

func open(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Postgres(t)
	f := &fixture{url: url, log: &logbook{}}
	f.DB = f.connect(t, url)
	var err error
	f.sql, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(f.sql.Close)
	f.exec(t, `INSERT INTO types (name, handler, version) SELECT name, 'lease', 1 FROM unnest($1::text[]) name
		ON CONFLICT DO NOTHING`, everyType)
	return f
}

// everyType are the types that these tests use.
var everyType = []string{"a-a", "bar", "baz", "foo", "foo2", "poison", "rare", "unlucky", "web", "zz"}

// connect opens the database once more, as another process would.
func (f *fixture) connect(t *testing.T, url string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url, Work: 8}, slog.New(slog.NewTextHandler(f.log, nil)))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// draft is a task that has been due for a minute.
func draft() task.Draft {
	return task.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: "foo", MaxAttempts: 1,
		ExecutionTime: task.Ceil(time.Now().UTC().Add(-time.Minute)),
	}
}

func drafts(n int) []task.Draft {
	all := make([]task.Draft, n)
	for i := range all {
		all[i] = draft()
	}
	return all
}

// tasks creates n due tasks that may be attempted so often.
func (f *fixture) tasks(t *testing.T, n, attempts int) []task.ID {
	t.Helper()
	all := drafts(n)
	for i := range all {
		all[i].MaxAttempts = attempts
	}
	return f.create(t, all...)
}

func (f *fixture) create(t *testing.T, all ...task.Draft) []task.ID {
	t.Helper()
	created := f.Create(t.Context(), all)
	ids := make([]task.ID, len(created))
	for i, answer := range created {
		require.NoError(t, answer.Err)
		ids[i] = answer.ID
	}
	return ids
}

func (f *fixture) session(t *testing.T) uuid.UUID {
	t.Helper()
	session := uuid.New()
	require.NoError(t, f.Register(t.Context(), session, "host", lease))
	return session
}

// issue is one call of Start.
func issue(t *testing.T, db *postgres.DB, session uuid.UUID, seq int64, ids []task.ID) []task.Task {
	t.Helper()
	started, _, err := db.Start(t.Context(), session, seq, everyType, ids)
	require.NoError(t, err)
	return started
}

// start starts all of ids in one call and requires that each was permitted.
func (f *fixture) start(t *testing.T, session uuid.UUID, ids ...task.ID) []task.Task {
	t.Helper()
	started, retried, err := f.Start(t.Context(), session, f.seq.Add(1), everyType, ids)
	require.NoError(t, err)
	require.False(t, retried)
	require.ElementsMatch(t, ids, idsOf(started))
	return started
}

// finish ends one attempt, done if code is empty.
func (f *fixture) finish(t *testing.T, session uuid.UUID, id task.ID, attempt int, code task.Code) task.Finished {
	t.Helper()
	end := task.Finish{ID: id, Attempt: attempt}
	if code != "" {
		end.Failure = &task.Failure{Code: code, Message: "it broke"}
	}
	answers, err := f.Finish(t.Context(), session, []task.Finish{end}, task.Closed{}, true)
	require.NoError(t, err)
	require.Len(t, answers, 1)
	return answers[0]
}

func (f *fixture) get(t *testing.T, id task.ID) *task.Task {
	t.Helper()
	found, err := f.Get(t.Context(), id)
	require.NoError(t, err)
	return found
}

func (f *fixture) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := f.sql.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (f *fixture) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// judge is a session that has been renewing its lease for a day, without a gap.
func (f *fixture) judge(t *testing.T) uuid.UUID {
	t.Helper()
	judge := f.session(t)
	f.exec(t, `UPDATE workers SET steady_since = clock_timestamp() - interval '1 day' WHERE id = $1`, judge)
	return judge
}

// reap lets a judge reap, and removes its session.
func (f *fixture) reap(t *testing.T, db *postgres.DB) task.Reaped {
	t.Helper()
	judge := f.judge(t)
	reaped, err := db.Reap(t.Context(), judge, lease, grace)
	require.NoError(t, err)
	f.exec(t, `DELETE FROM workers WHERE id = $1`, judge)
	return reaped
}

// lapse lets a session's lease have ended so long ago.
func (f *fixture) lapse(t *testing.T, session uuid.UUID, ago time.Duration) {
	t.Helper()
	f.exec(t, `UPDATE workers SET lease_until = clock_timestamp() - $2::interval WHERE id = $1`, session, ago)
}

// hold executes a statement and keeps its locks until the test commits.
func (f *fixture) hold(t *testing.T, sql string, args ...any) (commit func()) {
	t.Helper()
	tx, err := f.sql.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
	return func() {
		t.Helper()
		require.NoError(t, tx.Commit(t.Context()))
	}
}

// awaitBlocked returns once n statements of this database wait for a lock.
func (f *fixture) awaitBlocked(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return f.blocked(t) == n }, patience, glance)
}

func (f *fixture) blocked(t *testing.T) int {
	t.Helper()
	return f.count(t, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

func idsOf(tasks []task.Task) []task.ID {
	ids := make([]task.ID, len(tasks))
	for i := range tasks {
		ids[i] = tasks[i].ID
	}
	return ids
}

// logbook keeps what was logged.
type logbook struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (f *fixture) slog() *slog.Logger { return slog.New(slog.NewTextHandler(f.log, nil)) }

// unpinRole takes from the role what PinRole gave it.
func (f *fixture) unpinRole(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), f.url)
	require.NoError(t, err)
	var database string
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT current_database()`).Scan(&database))
	_, err = conn.Exec(context.Background(), "ALTER ROLE CURRENT_USER IN DATABASE "+pgx.Identifier{database}.Sanitize()+" RESET ALL")
	require.NoError(t, err)
	require.NoError(t, conn.Close(context.Background()))
}

// Delete deletes a task, whatever its type.
func (f *fixture) Delete(ctx context.Context, id task.ID) error { return errorOf(f.DB.Delete(ctx, id)) }

// errorOf drops what is not looked at.
func errorOf(_ string, err error) error { return err }
