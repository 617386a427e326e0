package scheduler_test

import (
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

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/scheduler"
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

func (f *fixture) scheduler() *scheduler.Scheduler {
	return scheduler.New(f.db, &countedRing{Wheel: f.ring}, horizon, f.log)
}

// draft is a task that is due in a while.
func draft(in time.Duration) task.Draft {
	return task.Draft{Type: "foo", ExecutionTime: time.Now().Add(in), MaxAttempts: 1}
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
func (f *fixture) session(t *testing.T, ids ...task.ID) {
	t.Helper()
	session := uuid.New()
	require.NoError(t, f.db.Register(t.Context(), session, "host", never))
	started, _, err := f.db.Start(t.Context(), session, 1, []string{"foo"}, ids)
	require.NoError(t, err)
	require.Len(t, started, len(ids))
}

func (f *fixture) create(t *testing.T, s *scheduler.Scheduler, d task.Draft) task.ID {
	t.Helper()
	id, err := s.Create(t.Context(), d)
	require.NoError(t, err)
	return id
}
