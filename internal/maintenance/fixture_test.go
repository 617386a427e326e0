package maintenance_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience bounds the wait for a condition that always comes.
	patience = 30 * time.Second
	// glance is the pace at which a condition is looked at.
	glance  = 5 * time.Millisecond
	horizon = time.Hour
	// soon is inside the window, and never overdue in a test's life.
	soon = 30 * time.Minute
	// beyond comes within the horizon in a moment, and not before a slow insert has committed.
	beyond = horizon + time.Second
	// never is a period that no test lives to see the end of.
	never = 24 * time.Hour
)

const (
	dueKey   = "timewheel:{foo}:due"
	epochKey = "timewheel:{wheel}:epoch"
)

// fixture is a pair of real stores, and a second way into each, by hand.
type fixture struct {
	db    *postgres.DB
	ring  *wheel.Wheel
	sql   *pgxpool.Pool
	redis *redis.Client
	log   *slog.Logger
}

func open(t *testing.T) *fixture {
	t.Helper()
	return openAt(t, testkit.Redis(t))
}

func openAt(t *testing.T, redisURL string) *fixture {
	t.Helper()
	f := &fixture{log: slog.New(slog.DiscardHandler)}
	url := testkit.Postgres(t)
	var err error
	f.db, err = postgres.Open(t.Context(), postgres.Options{URL: url, Work: 6}, f.log)
	require.NoError(t, err)
	t.Cleanup(f.db.Close)
	f.sql, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(f.sql.Close)
	f.ring, err = wheel.Open(wheel.Options{URL: redisURL})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.ring.Close()) })

	options, err := redis.ParseURL(redisURL)
	require.NoError(t, err)
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	f.redis = redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, f.redis.Close()) })
	return f
}

// maintainer is one whose audit comes once, at its first turn, unless change says
// otherwise.
func (f *fixture) maintainer(change func(*maintenance.Config)) *maintenance.Maintainer {
	return f.maintainerOf(f.db, f.ring, change)
}

func (f *fixture) maintainerOf(
	store maintenance.Store, ring maintenance.Index, change func(*maintenance.Config),
) *maintenance.Maintainer {
	cfg := maintenance.Config{Horizon: horizon, Retention: never, Audit: never}
	if change != nil {
		change(&cfg)
	}
	return maintenance.New(store, ring, cfg, f.log)
}

// insert commits n tasks of which Redis knows nothing, step apart, and returns
// their ids, soonest first.
func (f *fixture) insert(t *testing.T, n int, in, step time.Duration) []string {
	t.Helper()
	from := time.Now().Add(in)
	rows, err := f.sql.Query(t.Context(), `
		INSERT INTO tasks_open (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), 'foo', at, at
		FROM generate_series(0, $1 - 1) i, LATERAL (SELECT $2::timestamptz + i * $3::interval) AS due (at)
		RETURNING id::text`, n, from, step)
	require.NoError(t, err)
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	require.Len(t, ids, n)
	return ids
}

func (f *fixture) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := f.sql.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (f *fixture) count(t *testing.T, where string) (n int) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(), "SELECT count(*) FROM tasks WHERE "+where).Scan(&n))
	return n
}

// indexed is what the due index holds, by time and then by name.
func (f *fixture) indexed(t *testing.T) []string {
	t.Helper()
	ids, err := f.redis.ZRange(t.Context(), dueKey, 0, -1).Result()
	require.NoError(t, err)
	return ids
}

// requireIndexed wants exactly these tasks, at Postgres' times.
func (f *fixture) requireIndexed(t *testing.T, ids []string) {
	t.Helper()
	have := f.indexed(t)
	require.Len(t, have, len(ids))
	require.Equal(t, slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(have)))
	rows, err := f.sql.Query(t.Context(), `
		SELECT id::text, (extract(epoch FROM due_at) * 1000000)::bigint FROM tasks WHERE id = ANY($1::uuid[])`, ids)
	require.NoError(t, err)
	defer rows.Close()
	want := map[string]int64{}
	for rows.Next() {
		var id string
		var at int64
		require.NoError(t, rows.Scan(&id, &at))
		want[id] = at
	}
	require.NoError(t, rows.Err())
	all, err := f.redis.ZRangeWithScores(t.Context(), dueKey, 0, -1).Result()
	require.NoError(t, err)
	for _, z := range all {
		require.Equal(t, want[z.Member.(string)], int64(z.Score))
	}
}

// session registers a worker and starts tasks in its name.
func (f *fixture) session(t *testing.T, ids ...task.ID) uuid.UUID {
	t.Helper()
	session := uuid.New()
	require.NoError(t, f.db.Register(t.Context(), session, "host", never))
	started, _, err := f.db.Start(t.Context(), session, 1, []string{"foo"}, ids)
	require.NoError(t, err)
	require.Len(t, started, len(ids))
	return session
}

func parse(t *testing.T, ids []string) []task.ID {
	t.Helper()
	all := make([]task.ID, len(ids))
	for i, text := range ids {
		id, err := uuid.Parse(text)
		require.NoError(t, err)
		all[i] = id
	}
	return all
}

// claim claims for longer than a test lives.
func (f *fixture) claim(t *testing.T, limit int) []task.Ref {
	t.Helper()
	claimed := f.ring.Claim(t.Context(), []task.Want{{Type: "foo", Limit: limit}}, never)[0]
	require.NoError(t, claimed.Err)
	return refs(claimed.IDs)
}

func refs(ids []task.ID) []task.Ref {
	all := make([]task.Ref, len(ids))
	for i, id := range ids {
		all[i] = task.Ref{ID: id, Type: "foo"}
	}
	return all
}

// hooked is the real due index; before a call of it, the test may step in.
type hooked struct {
	*wheel.Wheel
	repair func(page []task.Due) error
	scan   func() error
}

func (h *hooked) Repair(ctx context.Context, tasks []task.Due) (int, error) {
	if h.repair != nil {
		if err := h.repair(tasks); err != nil {
			return 0, err
		}
	}
	return h.Wheel.Repair(ctx, tasks)
}

func (h *hooked) Scan(ctx context.Context, taskType string, f func([]task.ID) error) error {
	if h.scan != nil {
		if err := h.scan(); err != nil {
			return err
		}
	}
	return h.Wheel.Scan(ctx, taskType, f)
}
